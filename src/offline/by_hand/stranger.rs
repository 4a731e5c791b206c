//! What is no part of Timbr as far as anybody can tell, and sets Timbr's variables all the same.

use super::{Variable, component};

/// A container or service that may be a part of Timbr.
#[derive(Debug)]
pub struct Stranger {
    /// Its document.
    pub at: usize,
    /// Why its variables are nobody's, and what to do: the words after their names.
    pub why: String,
    /// The documented variables that it sets.
    pub variables: Vec<Variable>,
}

impl Stranger {
    /// A stranger with these variables, if one of them makes it likely that it is Timbr's.
    pub fn new(at: usize, why: String, variables: Vec<Variable>) -> Option<Self> {
        let is_likely = variables.iter().any(|variable| component::is_likely(&variable.name));
        let documented = variables.into_iter().filter(|variable| variable.documented().is_some());
        is_likely.then(|| Self { at, why, variables: documented.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::by_hand::{Text, Value};

    #[test]
    fn names_that_others_have_too_make_no_stranger() {
        let of = |names: &[&str]| {
            let variable = |name: &&str| Variable {
                name: (*name).to_owned(),
                path: String::new(),
                value: Value::Plain(Text::from("x")),
            };
            let found = Stranger::new(0, String::new(), names.iter().map(variable).collect());
            found.map(|found| found.variables.into_iter().map(|variable| variable.name).collect::<Vec<_>>())
        };
        assert_eq!(of(&["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "JWT_SECRET_KEY", "LOG"]), None);
        assert_eq!(of(&["AZURE_CLIENT_ID", "LOG", "ENABLE_TOKEN"]).unwrap(), ["AZURE_CLIENT_ID", "ENABLE_TOKEN"]);
    }
}
