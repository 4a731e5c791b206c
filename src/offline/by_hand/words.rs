//! Lists within sentences.

/// `a`, `a or b`, `a, b or c`.
pub fn any_of(words: &[impl AsRef<str>]) -> String {
    join(words, "or")
}

/// `a`, `a and b`, `a, b and c`.
pub fn all_of(words: &[impl AsRef<str>]) -> String {
    join(words, "and")
}

fn join(words: &[impl AsRef<str>], last: &str) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [others @ .., end] => format!("{} {last} {end}", others.join(", ")),
    }
}
