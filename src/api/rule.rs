//! The self-contained rules of string fields, each once: a code, a sentence and a pattern.
//!
//! From one [`FieldRule`] come the CEL rule in the CRD (what the API server says) and the Rust check
//! in compose (what the operator says about an object that got past an older CRD), so the two cannot
//! drift apart. CEL's `matches` is RE2 and Rust's `regex` has the same syntax and semantics.

use std::sync::LazyLock;

use kube::core::Rule;
use regex::Regex;

use super::{Code, Problem};

/// One rule that a string field obeys.
#[derive(Debug)]
pub struct FieldRule {
    /// The code of a violation.
    pub code: Code,
    /// The sentence: what is expected, and how to fix it.
    pub message: &'static str,
    /// What a value must match; or, when `forbids`, must not match anywhere.
    pub pattern: Pattern,
    /// Whether the pattern is of what a value may not hold.
    pub forbids: bool,
    /// The rule speaks only of values that match this: so one fault yields one problem.
    pub only_if: Option<Pattern>,
}

/// A regular expression, compiled when it is first needed. The text is a constant, and a test compiles
/// each: one that does not compile would match nothing.
#[derive(Debug)]
pub struct Pattern {
    /// Its text.
    pub text: &'static str,
    compiled: LazyLock<Option<Regex>>,
}

impl Pattern {
    fn is_match(&self, value: &str) -> bool {
        self.compiled.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}

impl FieldRule {
    /// The rule for the CRD's schema; the message begins with the code.
    pub fn cel(&self) -> Rule {
        let holds = |pattern: &Pattern| format!("self.matches(r'{}')", pattern.text);
        let not = if self.forbids { "!" } else { "" };
        let rule = match &self.only_if {
            Some(only_if) => format!("!{} || {not}{}", holds(only_if), holds(&self.pattern)),
            None => format!("{not}{}", holds(&self.pattern)),
        };
        Rule::new(rule).message(format!("{}: {}", self.code, self.message).as_str())
    }

    /// The rule for the schema of a list of strings: each obeys it.
    pub fn cel_each(&self) -> Rule {
        let Rule { rule, message, .. } = self.cel();
        let rule = format!("self.all(item, {})", rule.replace("self.matches", "item.matches"));
        Rule { message, ..Rule::new(rule) }
    }

    /// Whether `value` obeys the rule.
    pub fn holds(&self, value: &str) -> bool {
        self.only_if.as_ref().is_some_and(|only_if| !only_if.is_match(value))
            || self.pattern.is_match(value) != self.forbids
    }

    /// The problem at `path` if `value` violates the rule.
    pub fn check(&self, path: &str, value: &str) -> Option<Problem> {
        (!self.holds(value)).then(|| Problem::error(path, self.code, self.message))
    }
}

/// The rules themselves.
pub mod rules {
    use std::sync::LazyLock;

    use regex::Regex;

    use super::{Code, FieldRule, Pattern};

    macro_rules! rules {
        ($($(#[doc = $doc:literal])+ $name:ident = $code:ident $($never:ident)? $pattern:literal $(only if $only_if:literal)? : $message:literal;)+) => {
            $(
                $(#[doc = $doc])+
                pub static $name: FieldRule = FieldRule {
                    code: Code::$code,
                    message: $message,
                    pattern: rules!(@pattern $pattern),
                    forbids: rules!(@forbids $($never)?),
                    only_if: rules!(@option $($only_if)?),
                };
            )+
            /// Every rule.
            pub static ALL: &[&FieldRule] = &[$(&$name,)+];
        };
        (@forbids) => { false };
        (@forbids never) => { true };
        (@option) => { None };
        (@option $text:literal) => { Some(rules!(@pattern $text)) };
        (@pattern $text:literal) => { Pattern { text: $text, compiled: LazyLock::new(|| Regex::new($text).ok()) } };
    }

    rules! {
        /// A Kubernetes object name.
        OBJECT_NAME = NameInvalid r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$":
            "must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends";
        /// A container name.
        CONTAINER_NAME = NameInvalid r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$":
            "must be the name of a container: lower-case letters, digits and '-', with a letter or digit at both ends";
        /// The name of a Secret.
        SECRET_NAME = SecretNameInvalid r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$":
            "must be the name of a Secret in the same namespace: lower-case letters, digits, '-' and '.', with a letter or digit at both ends";
        /// A key of a Secret.
        SECRET_KEY = SecretKeyInvalid r"^[-._a-zA-Z0-9]+$":
            "must be a key of the Secret's data: letters, digits, '-', '_' and '.'";
        /// A directory (tenant) of Entra: a GUID or a domain. `common` and its like name no single tenant and have no dot.
        TENANT_ID = TenantIdInvalid r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|([a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)$":
            "must be the Directory (tenant) ID, a GUID, or a domain of the tenant such as contoso.onmicrosoft.com; common, organizations and consumers name no single tenant";
        /// An application (client) id.
        CLIENT_ID = ClientIdInvalid r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$":
            "must be the Application (client) ID, a GUID such as 11111111-2222-3333-4444-555555555555, from the app registration's overview page";
        /// Azure refuses redirect URIs without TLS.
        PUBLIC_URL_HTTPS = PublicUrlNotHttps r"^https://":
            "must begin with https:// (Azure accepts no other redirect URI)";
        /// Scheme, host, optional port, nothing more.
        PUBLIC_URL_HOST_ONLY = PublicUrlHostOnly r"^https://[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)*(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$" only if r"^https://":
            "must be https://, a host and at most a port, such as https://timbr.example.com: no path, not even a final slash, no user, query or fragment";
        /// A role of Timbr. A space at its end nobody sees: `admin ` would be no admin to any guard of ours.
        ROLE = RoleInvalid r"^[A-Za-z0-9_]([A-Za-z0-9_ .-]*[A-Za-z0-9_.-])?$":
            "must be a role of Timbr: letters, digits, '_', '.', '-' and spaces, beginning with a letter, digit or '_' and not ending with a space";
        /// A role in a statement: two dashes begin a comment.
        ROLE_SAFE = NameNotSafe never r"--" only if r"^[A-Za-z0-9_]([A-Za-z0-9_ .-]*[A-Za-z0-9_.-])?$":
            "must not hold two dashes in a row, which begin a comment in SQL; use a role with another name";
        /// The name of a group in a statement. Nothing is left to escape, under any lexer; and nothing
        /// that a conversion of characters on the way could turn into a quotation mark and its like.
        GROUP_NAME = NameNotSafe never r"[\x00-\x1f\x7f-\x{9f}\x27\x60\\;\x{2b9}\x{2bb}-\x{2bd}\x{2c8}\x{37e}\x{61c}\x{1fef}\x{1ffd}\x{200b}-\x{200f}\x{2018}-\x{201b}\x{2028}-\x{202e}\x{2032}\x{2035}\x{2060}-\x{206f}\x{2216}\x{29f5}\x{29f9}\x{fe54}\x{fe68}\x{feff}\x{ff07}\x{ff1b}\x{ff3c}\x{ff40}]|[-\x{2010}-\x{2015}\x{2212}\x{fe58}\x{fe63}\x{ff0d}]{2}|[/\x{2044}\x{2215}\x{ff0f}][*\x{2217}\x{ff0a}\x{fe61}]":
            "must not hold a quotation mark, backslash, backtick, semicolon, control character, -- or /*, or what looks like one: it becomes part of an SQL statement; map the group by id instead";
        /// An object id of Entra.
        GROUP_ID = GroupIdInvalid r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$":
            "must be the group's Object ID, a GUID such as 11111111-2222-3333-4444-555555555555, from the group's overview page";
        /// The address of a group, in which nothing could end a string in SQL.
        GROUP_EMAIL = GroupEmailInvalid r"^[A-Za-z0-9_.+%]+(-[A-Za-z0-9_.+%]+)*@[A-Za-z0-9]+(-[A-Za-z0-9]+)*(\.[A-Za-z0-9]+(-[A-Za-z0-9]+)*)+$":
            "must be the group's e-mail address, of letters, digits, '_', '.', '+', '%' and single dashes; map the group by id instead";
        /// A Databricks workspace.
        WORKSPACE_HOST = WorkspaceHostInvalid r"^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)+$":
            "must be the workspace's host and nothing more, such as adb-123456789.azuredatabricks.net: no https://, port or path";
        /// A datasource of Timbr.
        DATASOURCE_NAME = DatasourceNameInvalid r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$":
            "must be the name of a datasource of Timbr: letters, digits, '_', '.' and '-', beginning with a letter, digit or '_'";
        /// A span of time. Six digits at most, so that no sum overflows.
        DURATION = DurationInvalid r"^([0-9]{1,6}(h|m|s))+$":
            "must be a duration of hours (h), minutes (m) and seconds (s), such as 24h or 1h30m";
        /// A key vault.
        VAULT_URL = VaultUrlInvalid r"^https://[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)+/?$":
            "must be the Vault URI from the key vault's overview page, such as https://contoso.vault.azure.net/: https:// and a host, nothing more";
        /// A list of algorithms.
        ALGORITHM = AlgorithmInvalid r"^(RS256|RSA-OAEP|HS256|AES)$":
            "must be RS256, RSA-OAEP, HS256 or AES (RS246, as Timbr's documentation prints it, is no algorithm: write RS256)";
        /// Becomes a value as it is: the kubelet would expand it.
        NO_EXPANSION = VariableReference never r"\$\(":
            "must not contain $(, which Kubernetes would replace by the value of another variable";
        /// A token's audience.
        AUDIENCE = AudienceInvalid never r"^$|^ | $|[\x00-\x1f\x7f-\x{9f}\x{61c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}]":
            "must be the audience as it stands in the tokens, such as the Application (client) ID or api://…: not empty, without spaces at an end or invisible characters";
        /// A token's issuer.
        ISSUER = IssuerInvalid r"^https://[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)*(:[0-9]{1,5})?(/[A-Za-z0-9._~%!*+,;=:@&-]*)*$":
            "must be the issuer exactly as in the tokens: https://, a host, optionally a port and a path, no user, query or fragment, such as https://login.microsoftonline.com/TENANT-ID/v2.0";
        /// Where keys are published.
        JWKS_URL = JwksUrlInvalid r"^https://[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)*(:[0-9]{1,5})?(/[A-Za-z0-9._~%!*+,;=:@&-]*)*(\?[A-Za-z0-9._~%!*+,;=:@&/?-]*)?$":
            "must be the address of a JSON Web Key Set: https://, a host, optionally a port, a path and a query, no user or fragment";
        /// A claim of a token.
        CLAIM = UserClaimInvalid r"^[A-Za-z0-9_.:/-]+$":
            "must be the name of a claim: letters, digits, '_', '.', ':', '/' and '-'";
        /// A tenant of Timbr's REST API.
        TENANT = TenantInvalid r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$":
            "must be letters, digits, '_' and '-', beginning with a letter or digit: it becomes part of the names of variables";
        /// Tenants whose variables would be others'.
        TENANT_RESERVED = TenantReserved never r"^(?i:default|use)$":
            "must not be DEFAULT or USE: the variables would be Timbr's own JWT_DEFAULT_… and JWT_USE_…; choose another tenant id";
        /// Where Timbr's REST API answers.
        SQL_URL = SqlUrlInvalid r"^https?://[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)*(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$":
            "must be http:// or https://, a host and at most a port, such as http://timbr-api.timbr.svc:9000: no path, not even a final slash";
        /// An ontology of Timbr.
        ONTOLOGY = OntologyInvalid r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$":
            "must be the name of an ontology: letters, digits, '_', '.' and '-', beginning with a letter, digit or '_'";
        /// A name for people.
        DISPLAY_NAME = DisplayNameInvalid never r"^ *$|[\x00-\x1f\x7f-\x{9f}\x{61c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}]":
            "must be a name that can be read: not blank, without line breaks or invisible characters";
        /// An application in an access policy: the value of a label, or all.
        CALLER_APPLICATION = CallerInvalid r"^(\*|[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$":
            "must be the application's name, as in its label app.kubernetes.io/name, or *";
        /// A namespace in an access policy, or all.
        CALLER_NAMESPACE = CallerInvalid r"^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$":
            "must be the name of a namespace, or *";
        /// A cluster in an access policy. Never all: any cluster's owner could come in.
        CALLER_CLUSTER = CallerInvalid r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$":
            "must be the name of one cluster: lower-case letters, digits, '-' and '.'; * is not allowed here";
        /// A directory of Entra by its id.
        TENANT_GUID = TenantIdInvalid r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$":
            "must be the Directory (tenant) ID, a GUID";
        /// A role or scope that a policy grants.
        PERMISSION = PermissionInvalid r"^[!-~]+$":
            "must be the name of a role or scope: visible ASCII characters, no spaces";
        /// A range of addresses.
        CIDR = PeerInvalid r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])$|^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$":
            "must be a range of addresses, such as 10.0.0.0/8 or 2001:db8::/64";
        /// The key of a label.
        LABEL_KEY = PeerInvalid r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$":
            "must be the key of a label, such as app.kubernetes.io/name";
        /// The value of a label.
        LABEL_VALUE = PeerInvalid r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$":
            "must be the value of a label: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for rule in rules::ALL {
            for pattern in rule.only_if.iter().chain([&rule.pattern]) {
                assert!(pattern.compiled.is_some(), "{}", pattern.text);
                assert!(!pattern.text.contains('\''), "would end the CEL string: {}", pattern.text);
            }
        }
    }

    #[test]
    fn accepts_and_refuses() {
        let guid = "11111111-2222-3333-4444-555555555555";
        let table: &[(&FieldRule, &[&str], &[&str])] = &[
            (
                &rules::OBJECT_NAME,
                &["a", "timbr-platform", "a.b"],
                &["", "A", "-a", "a-", "a..b", "a_b", "$(X)", "a\n"],
            ),
            (&rules::CONTAINER_NAME, &["timbr", "timbr-api"], &["", "a.b", "Timbr", "a\n"]),
            (&rules::SECRET_KEY, &["client-secret", "a.b_C"], &["", "a/b", "a b", "$(X)"]),
            (
                &rules::TENANT_ID,
                &[guid, "contoso.onmicrosoft.com", "Contoso.COM"],
                &[
                    "",
                    "common",
                    "organizations",
                    "consumers",
                    "contoso",
                    ".com",
                    "a..b",
                    "$(DB_PASSWORD)",
                    "1.2.3.4",
                    "https://a.b",
                    "a.b/c",
                ],
            ),
            (
                &rules::CLIENT_ID,
                &[guid, "AAAAAAAA-2222-3333-4444-555555555555"],
                &["", "timbr", "11111111222233334444555555555555"],
            ),
            (&rules::PUBLIC_URL_HTTPS, &["https://a", "https://"], &["http://a", "a.b", "HTTPS://a", ""]),
            (
                &rules::PUBLIC_URL_HOST_ONLY,
                &["https://timbr.example.com", "https://timbr:8443", "https://a:65535", "http://other.rule/x"],
                &[
                    "https://",
                    "https://a/",
                    "https://a/b",
                    "https://u@a",
                    "https://a?b",
                    "https://a#b",
                    "https://a:0",
                    "https://a:65536",
                    "https://a b",
                    "https://$(X)",
                ],
            ),
            (
                &rules::ROLE,
                &["viewer", "Data Editors", "a.b-c_d", "a", "a-"],
                &["", " a", "a ", "admin ", "_ ", " ", "-a", "a$(X)", "a'b", "a`b", "a;b"],
            ),
        ];
        for (rule, good, bad) in table {
            for value in *good {
                assert!(rule.holds(value), "{:?} refuses {value:?}", rule.code);
            }
            for value in *bad {
                assert!(!rule.holds(value), "{:?} accepts {value:?}", rule.code);
            }
        }
    }

    /// The patterns use nothing in which RE2 and `regex` differ: the text itself may not hold a
    /// value that one of them would treat by another flag.
    #[test]
    fn cel_and_rust_agree() {
        use kube::core::cel::{Validator, compile_schema};
        use proptest::prelude::*;
        let validator = Validator::new();
        let fragments = "https://|timbr|.example|:8443|/|$(X)|common|11111111-2222-3333-4444-555555555555|-|_| |A|\n|é|@|?|#|'|`|;|";
        let fragment = proptest::sample::select(fragments.split('|').map(str::to_owned).collect::<Vec<_>>());
        let values = proptest::collection::vec(fragment, 0..5).prop_map(|parts| parts.concat());
        for rule in rules::ALL {
            let schema = serde_json::json!({"type": "string", "x-kubernetes-validations": [rule.cel()]});
            let compiled = compile_schema(&schema);
            assert!(!compiled.has_errors(), "{:?}", compiled.compilation_errors());
            let mut runner = proptest::test_runner::TestRunner::default();
            runner
                .run(&values, |value| {
                    let cel = validator.validate_compiled(&compiled, &serde_json::json!(value), None).is_ok();
                    prop_assert_eq!(cel, rule.holds(&value), "{:?}", value);
                    Ok(())
                })
                .unwrap();
        }
    }
}
