//! What Microsoft's REST services say when they refuse.
//! Source: Microsoft REST API Guidelines, "Error condition responses".

use serde::Deserialize;

/// The body of a refusal.
#[derive(Deserialize)]
pub struct Refusal {
    pub error: Error,
}

/// The refusal itself.
#[derive(Deserialize)]
pub struct Error {
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub innererror: Option<Inner>,
}

/// What lies behind it: of a key vault the reason proper.
#[derive(Deserialize)]
pub struct Inner {
    #[serde(default)]
    pub code: String,
}
