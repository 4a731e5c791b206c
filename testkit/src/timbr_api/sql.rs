//! The SQL that Timbr documents for roles, by a lexer that takes quoted names for what Timbr's takes
//! them: backslashes escape in strings, as in Hive, and two quotes are no quote.

use std::iter::Peekable;
use std::str::Chars;

use super::Group;

/// A statement that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// `` ALTER ROLE `role` SYNC name = 'group' ``, or `id`, or `email`.
    Map { role: String, group: Group },
    /// `` SYNC ROLE `role` ``
    Sync { role: String },
    /// One statement of sound tokens; of what kind, the grammar here does not say.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Identifier(String),
    Text(String),
    Symbol(char),
}

/// Reads one statement.
pub(super) fn parse(sql: &str) -> Result<Statement, String> {
    let tokens = lex(sql)?;
    let word = |at: usize, keyword: &str| match tokens.get(at) {
        Some(Token::Word(word)) => word.eq_ignore_ascii_case(keyword),
        _ => false,
    };
    if word(0, "ALTER") && word(1, "ROLE") {
        if let [_, _, Token::Identifier(role), _, Token::Word(key), Token::Symbol('='), Token::Text(value)] =
            &tokens[..]
            && word(3, "SYNC")
            && let Some(group) = Group::of(key, value)
        {
            return Ok(Statement::Map { role: role.clone(), group });
        }
        return Err("expected ALTER ROLE `role` SYNC name|id|email = 'group'".to_owned());
    }
    if word(0, "SYNC") {
        return match &tokens[..] {
            [_, _, Token::Identifier(role)] if word(1, "ROLE") => Ok(Statement::Sync { role: role.clone() }),
            _ => Err("expected SYNC ROLE `role`".to_owned()),
        };
    }
    if tokens.is_empty() { Err("no statement".to_owned()) } else { Ok(Statement::Other) }
}

fn lex(sql: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = sql.chars().peekable();
    while let Some(char) = rest.next() {
        tokens.push(match char {
            ' ' | '\t' | '\r' | '\n' => continue,
            '`' => Token::Identifier(identifier(&mut rest)?),
            '\'' => Token::Text(text(&mut rest)?),
            // Timbr would execute what stands behind it, too.
            ';' => return Err("a `;`: one statement a request, and none at its end".to_owned()),
            '-' if rest.peek() == Some(&'-') => return Err("a comment (--)".to_owned()),
            '/' if rest.peek() == Some(&'*') => return Err("a comment (/*)".to_owned()),
            _ if is_word(char) => {
                let mut word = String::from(char);
                while let Some(next) = rest.next_if(|next| is_word(*next)) {
                    word.push(next);
                }
                Token::Word(word)
            }
            _ if "*.,()=<>!+-/%".contains(char) => Token::Symbol(char),
            _ => return Err(format!("{char:?} outside of quotes")),
        });
    }
    Ok(tokens)
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

/// The rest of an identifier: a backtick in it is written twice.
fn identifier(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut name = String::new();
    while let Some(char) = rest.next() {
        if char == '`' && rest.next_if_eq(&'`').is_none() {
            return if name.is_empty() { Err("an empty identifier".to_owned()) } else { Ok(name) };
        }
        name.push(char);
    }
    Err("an identifier without its closing backtick".to_owned())
}

/// The rest of a string. Hive gives other escapes meanings, `\n` and the like; whoever sends one has
/// most likely not escaped a backslash, so they are refused.
fn text(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    while let Some(char) = rest.next() {
        match char {
            '\'' if text.is_empty() => return Err("an empty string".to_owned()),
            '\'' => return Ok(text),
            '\\' => match rest.next() {
                Some(escaped @ ('\'' | '\\')) => text.push(escaped),
                Some(other) => return Err(format!("the escape \\{other} in a string")),
                None => break,
            },
            _ => text.push(char),
        }
    }
    Err("a string without its closing quote".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_statements_are_read_and_others_refused() {
        for (sql, expected) in [
            ("ALTER ROLE `a b` SYNC name = 'g'", "map a b: Name(\"g\")"),
            ("alter role `a``b`\n\tsync ID='1-2'", "map a`b: Id(\"1-2\")"),
            (r"ALTER ROLE `r` SYNC email = 'o\'x\\y;--'", r#"map r: Email("o'x\\y;--")"#),
            ("SYNC ROLE `r`", "sync r"),
            ("SELECT * FROM timbr.sys_concepts", "other"),
            ("", "no statement"),
            ("SYNC ROLE `r`;", "a `;`: one statement a request, and none at its end"),
            ("SYNC ROLE r", "expected SYNC ROLE `role`"),
            ("SYNC ROLE `r` `s`", "expected SYNC ROLE `role`"),
            ("ALTER ROLE `r` SYNC mail = 'g'", "expected ALTER ROLE `role` SYNC name|id|email = 'group'"),
            ("ALTER ROLE `r` SYNC name 'g'", "expected ALTER ROLE `role` SYNC name|id|email = 'group'"),
            // In Hive, strings side by side are one string: a doubled quote escapes nothing.
            ("ALTER ROLE `r` SYNC name = 'o''x'", "expected ALTER ROLE `role` SYNC name|id|email = 'group'"),
            (r"ALTER ROLE `r` SYNC name = 'x\''; DROP ROLE `r`", "a `;`: one statement a request, and none at its end"),
            (r"ALTER ROLE `r` SYNC name = 'x\'", "a string without its closing quote"),
            (r"ALTER ROLE `r` SYNC name = 'a\nb'", r"the escape \n in a string"),
            ("ALTER ROLE `r` SYNC name = ''", "an empty string"),
            ("SYNC ROLE ``", "an empty identifier"),
            ("SYNC ROLE `r", "an identifier without its closing backtick"),
            ("SYNC ROLE `r` -- x", "a comment (--)"),
            ("SYNC /* x */ ROLE `r`", "a comment (/*)"),
            ("SYNC ROLE \"r\"", "'\"' outside of quotes"),
        ] {
            let read = match parse(sql) {
                Ok(Statement::Map { role, group }) => format!("map {role}: {group:?}"),
                Ok(Statement::Sync { role }) => format!("sync {role}"),
                Ok(Statement::Other) => "other".to_owned(),
                Err(error) => error,
            };
            assert_eq!(read, expected, "{sql}");
        }
    }
}
