//! The variables that Timbr documents, and what each may hold. Sources: Timbr's documentation, "Azure
//! Integration" and "Azure JWT"; the keys: Timbr's published Helm chart.

use crate::api::{Component, Severity};

/// What the value of a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One of a few words.
    Words {
        /// The words, as documented.
        known: &'static [&'static str],
        /// How bad another word is.
        otherwise: Severity,
    },
    /// A number of seconds.
    Seconds,
    /// A number of minutes.
    Minutes,
    /// An application (client) id. It often comes from a Secret, so it is never quoted.
    ClientId,
    /// A directory (tenant).
    Tenant,
    /// Where a tenant's users sign in.
    BaseUrl,
    /// The address of a key vault.
    Vault,
    /// The issuer of tokens.
    Issuer,
    /// A list of algorithms.
    Algorithms,
    /// The name of a claim.
    Claim,
    /// A role of Timbr.
    Role,
    /// Databricks' scope.
    Scopes,
    /// Any text.
    Free,
    /// A client secret.
    Secret,
    /// A key: a PEM public key, or a shared secret.
    Key,
}

impl Form {
    /// Whether no message may quote a value of it.
    pub const fn is_sensitive(self) -> bool {
        matches!(self, Form::ClientId | Form::Secret | Form::Key)
    }
}

/// What a variable is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Single sign-on.
    SingleSignOn,
    /// Databricks with each user's own rights.
    Databricks,
    /// The service principal of group sync and Key Vault.
    Principal,
    /// Roles from groups.
    GroupSync,
    /// Passwords of datasources in a key vault.
    KeyVault,
    /// Tokens at the API.
    Tokens,
    /// Tokens of one tenant at the API.
    Tenants,
    /// None of ours; it bears on one of them.
    Beside,
}

/// A variable that is documented.
#[derive(Debug)]
pub struct Documented {
    /// Its name; of a tenant's the end.
    pub name: &'static str,
    /// The components that read it.
    pub components: &'static [Component],
    /// What it is for.
    pub section: Section,
    /// What it holds.
    pub form: Form,
    /// What Timbr takes it for when it is absent.
    pub default: Option<&'static str>,
}

impl Documented {
    /// Whether others than Timbr have it too, for purposes of their own: Timbr's Helm chart sets `AZURE_*` on
    /// the platform.
    pub fn is_everybodys(&self) -> bool {
        self.section == Section::Principal
    }
}

const PLATFORM: &[Component] = &[Component::Platform];
const SERVER: &[Component] = &[Component::Server];
const API: &[Component] = &[Component::Api];
const BOTH: &[Component] = &[Component::Platform, Component::Server];

const fn words(known: &'static [&'static str]) -> Form {
    Form::Words { known, otherwise: Severity::Error }
}

/// Most booleans.
const SWITCH: Form = words(&["true", "false"]);
/// Booleans that Timbr spells as Python does.
const CAPITAL_SWITCH: Form = words(&["True", "False"]);
/// Timbr knows other providers, of which this project knows nothing.
const PROVIDER: Form = Form::Words { known: &["azure"], otherwise: Severity::Warning };

macro_rules! table {
    ($($name:literal $components:ident $section:ident $form:expr $(, $default:literal)?;)+) => {
        &[$(Documented {
            name: $name,
            components: $components,
            section: Section::$section,
            form: $form,
            default: table!(@default $($default)?),
        },)+]
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

/// The variables with a name of their own.
const VARIABLES: &[Documented] = table! {
    "OAUTH_PROVIDER" PLATFORM SingleSignOn PROVIDER;
    "OAUTH_CLIENT_ID" PLATFORM SingleSignOn Form::ClientId;
    "OAUTH_SECRET" PLATFORM SingleSignOn Form::Secret;
    "OAUTH_BASE_URL" PLATFORM SingleSignOn Form::BaseUrl;
    "OAUTH_AZURE_WITH_UPN_FIRST" PLATFORM SingleSignOn CAPITAL_SWITCH;
    "AUTH_USER_REGISTRATION" PLATFORM SingleSignOn SWITCH, "false";
    "AUTH_USER_REGISTRATION_ROLE" PLATFORM SingleSignOn Form::Role, "viewer";
    "AUTH_WITH_USERPASS" PLATFORM SingleSignOn SWITCH, "true";
    "OAUTH_OFFLINE_ACCESS_SCOPE" BOTH Databricks SWITCH;
    "OAUTH_SCOPES" PLATFORM Databricks Form::Scopes;
    "OAUTH_REFRESH_TOKEN_EXPIRATION" SERVER Databricks Form::Minutes, "10";
    "OAUTH_REFRESH_TOKEN_VALIDATION" SERVER Databricks Form::Minutes, "1";
    "AZURE_CLIENT_ID" SERVER Principal Form::ClientId;
    "AZURE_TENANT_ID" SERVER Principal Form::Tenant;
    "AZURE_CLIENT_SECRET" SERVER Principal Form::Secret;
    "SYNC_GROUPS_INTERVAL" SERVER GroupSync Form::Seconds, "86400";
    "SYNC_GROUPS_AUTO_CREATE_USER" SERVER GroupSync SWITCH, "false";
    "KV_VAULT_TYPE" SERVER KeyVault words(&["azure"]);
    "KV_VAULT_AUTH_TYPE" SERVER KeyVault words(&["password"]);
    "KV_VAULT" SERVER KeyVault Form::Vault;
    "ENABLE_TOKEN" API Tokens SWITCH, "false";
    "JWT_TYPE" API Tokens words(&["azure", "custom"]), "custom";
    "JWT_DEFAULT_ALGORITHM" API Tokens Form::Algorithms;
    "JWT_DEFAULT_AUDIENCE" API Tokens Form::Free;
    "JWT_DEFAULT_KEY" API Tokens Form::Key;
    "JWT_USE_EMAIL_OR_USER" API Tokens Form::Claim;
    "JWT_ISSUER" API Tokens Form::Issuer;
    "JWT_USE_TENANT_USER" API Tokens CAPITAL_SWITCH, "False";
    "OAUTH_DEFAULT_SCHEME" PLATFORM Beside words(&["https", "http"]), "http";
};

/// The variables of a tenant: `JWT_`, the tenant, and this.
const OF_TENANTS: &[Documented] = table! {
    "_ALGORITHM" API Tenants Form::Algorithms;
    "_AUDIENCE" API Tenants Form::Free;
    "_KEY" API Tenants Form::Key;
};

const TENANT_PREFIX: &str = "JWT_";

/// What is documented of the variable `name`.
pub fn documented(name: &str) -> Option<&'static Documented> {
    VARIABLES
        .iter()
        .find(|known| known.name == name)
        .or_else(|| OF_TENANTS.iter().find(|known| in_name(name, known).is_some()))
}

/// The tenant in the name of a variable, in the variable's letters.
pub fn tenant_of(name: &str) -> Option<&str> {
    if VARIABLES.iter().any(|known| known.name == name) {
        return None;
    }
    OF_TENANTS.iter().find_map(|known| in_name(name, known))
}

fn in_name<'n>(name: &'n str, of_tenant: &Documented) -> Option<&'n str> {
    let tenant = name.strip_prefix(TENANT_PREFIX)?.strip_suffix(of_tenant.name)?;
    let is_upper = !tenant.is_empty() && !tenant.contains(char::is_lowercase);
    is_upper.then_some(tenant)
}

/// The documented name that `name` is but for the letters' case. Timbr reads upper case only.
pub fn in_other_case(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    (upper != name && documented(&upper).is_some()).then_some(upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables that Timbr documents, as a table; other tests hold the examples against it.
    const SEEDS: &str = include_str!("../../../tests/seed-variables.tsv");

    #[test]
    fn everything_documented_is_known() {
        for row in SEEDS.lines().skip(1) {
            let cells: Vec<&str> = row.split('\t').collect();
            let name = cells[0].replace("<TENANT_ID>", "CONTOSO");
            let known = documented(&name).unwrap_or_else(|| panic!("{name}"));
            assert!(known.components.iter().any(|component| component.usual_deployment() == cells[1]), "{name}");
            let unit = match known.form {
                Form::Seconds => "seconds",
                Form::Minutes => "minutes",
                _ => "",
            };
            assert_eq!(cells[3], unit, "{name}");
            // The default of claims depends on the type; RS246 is a misprint.
            if !matches!(known.form, Form::Claim | Form::Algorithms) {
                assert_eq!(cells[4], known.default.unwrap_or_default(), "{name}");
            }
        }
    }

    #[test]
    fn tenants_are_in_upper_case() {
        assert_eq!(tenant_of("JWT_CONTOSO_KEY"), Some("CONTOSO"));
        assert_eq!(tenant_of("JWT_TENANT-5_AUDIENCE"), Some("TENANT-5"));
        for name in ["JWT_DEFAULT_KEY", "JWT_contoso_KEY", "JWT__KEY", "JWT_KEY", "JWT_ISSUER", "X_CONTOSO_KEY"] {
            assert_eq!(tenant_of(name), None, "{name}");
        }
        assert_eq!(in_other_case("jwt_contoso_AUDIENCE").as_deref(), Some("JWT_CONTOSO_AUDIENCE"));
        for name in ["JWT_CONTOSO_AUDIENCE", "my_key", "ENABLE_USER_TOKEN", "enable_user_token"] {
            assert_eq!(in_other_case(name), None, "{name}");
        }
        assert!(documented("ENABLE_USER_TOKEN").is_none());
    }
}
