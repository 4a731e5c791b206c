//! Words and comments of a POSIX shell, whatever stands in them.

use crate::api::is_printable;

/// A word that a shell takes as it is.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A comment: one line, in which nothing can end the comment or turn the direction of text.
pub fn comment(text: &str) -> String {
    let text: String = text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect();
    format!("# {text}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What a shell prints when it runs a script.
    fn printed(script: &str) -> Vec<u8> {
        Command::new("sh").args(["-c", script]).output().expect("a shell").stdout
    }

    /// What ends a quotation, a comment or a line, or begins something else; and any character but NUL,
    /// which no argument can hold.
    fn words() -> impl Strategy<Value = String> {
        let sharp = ["'", "\"", "$(id)", "`id`", "\\", ";", " ", "\n", "\r", "ä", "-", "$X", "#", "\u{85}", "\u{2028}"];
        let sharp = proptest::sample::select(sharp.map(str::to_owned).to_vec());
        let any = any::<char>().prop_filter("NUL", |c| *c != '\0').prop_map(String::from);
        proptest::collection::vec(prop_oneof![sharp, any], 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_quoted_word_comes_back_from_a_shell_as_it_is(word in words()) {
            prop_assert_eq!(printed(&format!("printf %s {}", quoted(&word))), word.into_bytes());
        }

        #[test]
        fn a_comment_ends_where_its_line_ends(text in words()) {
            prop_assert_eq!(printed(&format!("{}\nprintf done", comment(&text))), b"done");
        }
    }
}
