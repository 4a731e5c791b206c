//! A value that must never be printed.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes of a Secret. `Debug` prints `<redacted>`, there is no `Display` and no `Serialize`, and the
/// memory is wiped on drop. [`Sensitive::expose`] is the only way to the bytes, so a reviewer can
/// find every use.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive(Zeroizing<Vec<u8>>);

impl Sensitive {
    /// Wraps `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves: for hashing, comparing and sending, never for printing.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Sensitive {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        assert_eq!(format!("{:?}", Sensitive::from("hunter2")), "<redacted>");
        assert_eq!(format!("{:#?}", Some(Sensitive::from("hunter2"))), "Some(\n    <redacted>,\n)");
    }
}
