//! Errors of the client in one sentence.

use std::error::Error;

/// An error with its causes, each said once; of an answer of the API server's its message alone,
/// where `Display` would add the whole Status in Rust's notation.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(kube::Error::Api(status)) = error.downcast_ref::<kube::Error>() {
            return append(text, &format!("{} ({})", status.message, status.code));
        }
        text = append(text, &error.to_string());
        next = error.source();
    }
    text
}

fn append(text: String, cause: &str) -> String {
    if text.is_empty() {
        cause.to_owned()
    } else if text.contains(cause) {
        text
    } else {
        // A wrapper often ends with its cause's own words, Status and all.
        let head = text.split(": ApiError").next().unwrap_or_default().to_owned();
        format!("{head}: {cause}")
    }
}
