//! What a resource asks for: variables with values, on components.

use std::{borrow::Cow, fmt};

use crate::api::{Code, Component, Problem, Sensitive};

/// Name of an environment variable.
pub type EnvName = Cow<'static, str>;

/// Variables that are delivered by Secret, always; and so are the keys of tenants.
const SENSITIVE: &[&str] = &["OAUTH_CLIENT_ID", "OAUTH_SECRET", "AZURE_CLIENT_SECRET"];

/// Whether a variable is delivered by Secret: a plain value of it is none that we wrote.
pub fn is_sensitive(variable: &str) -> bool {
    SENSITIVE.contains(&variable) || (variable.starts_with("JWT_") && variable.ends_with("_KEY"))
}

/// A value that is written as plain `value:` into a pod template.
///
/// It cannot be empty (the server treats an empty value as a conflict even when equal) and cannot
/// hold `$(`: the kubelet expands `$(NAME)` from the variables before it, secrets included, so a
/// value of a user's could send another variable's secret wherever the value goes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlainValue(String);

impl PlainValue {
    /// `value`, if it may be written.
    ///
    /// # Errors
    /// The problem at `path` when it is empty or holds `$(`.
    pub fn new(path: &str, value: impl Into<String>) -> Result<Self, Problem> {
        let value = value.into();
        if value.contains("$(") || value.is_empty() {
            return Err(Problem::error(
                path,
                Code::VariableReference,
                "must not be empty or contain $(, which Kubernetes would replace by the value of another variable",
            ));
        }
        Ok(Self(value))
    }

    /// For constants of ours.
    pub(super) const fn constant(value: String) -> Self {
        Self(value)
    }

    /// The value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Written into the template.
    Plain(PlainValue),
    /// Delivered through a Secret.
    Sensitive(Sensitive),
    /// Offline: a value that is not in the input.
    Placeholder(String),
}

impl Value {
    /// A constant, such as `true`.
    pub(super) fn constant(value: &str) -> Self {
        Value::Plain(PlainValue::constant(value.to_owned()))
    }

    /// `true` or `false`, as Timbr spells most of its booleans.
    pub(super) fn lower_bool(value: bool) -> Self {
        Self::constant(if value { "true" } else { "false" })
    }

    /// Whether it is just this.
    pub(super) fn is(&self, value: &Sensitive) -> bool {
        match self {
            Value::Plain(plain) => plain.as_str().as_bytes() == value.expose(),
            Value::Sensitive(sensitive) => sensitive == value,
            Value::Placeholder(_) => false,
        }
    }

    /// `True` or `False`, as Timbr spells some of them.
    pub(super) fn capital_bool(value: bool) -> Self {
        Self::constant(if value { "True" } else { "False" })
    }
}

/// One variable that a resource asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// On which component.
    pub component: Component,
    /// Which variable.
    pub name: EnvName,
    /// With what value.
    pub value: Value,
}

#[cfg(test)]
mod tests {
    use super::is_sensitive;

    #[test]
    fn what_goes_by_secret_is_known_by_its_name() {
        for name in ["OAUTH_SECRET", "AZURE_CLIENT_SECRET", "JWT_DEFAULT_KEY", "JWT_CONTOSO_KEY"] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in ["OAUTH_PROVIDER", "AZURE_CLIENT_ID", "JWT_CONTOSO_AUDIENCE", "JWT_TYPE"] {
            assert!(!is_sensitive(name), "{name}");
        }
    }
}
