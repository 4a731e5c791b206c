//! What has been begun and is not complete: which variables need which others.

use crate::api::{Code, Component, Problem};

use super::{Service, Variable, group::Group, words};

/// A part of an integration.
struct Need {
    /// Which variables begin it; those of tenants by the end of their names.
    begun_by: &'static [&'static str],
    /// On which component.
    on: Component,
    /// Which it takes then.
    needs: &'static [&'static str],
    /// On which component; if that is not in the input, nobody knows.
    of: Component,
    /// What is begun.
    what: &'static str,
}

const PRINCIPAL: &[&str] = &["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"];
const DATABRICKS: &str = "sign-on to Databricks with each user's own rights";
const TOKENS: &str = "token authentication";

const NEEDS: &[Need] = &[
    Need {
        begun_by: &["OAUTH_PROVIDER", "OAUTH_BASE_URL", "OAUTH_AZURE_WITH_UPN_FIRST"],
        on: Component::Platform,
        needs: &["OAUTH_PROVIDER", "OAUTH_CLIENT_ID", "OAUTH_SECRET", "OAUTH_BASE_URL"],
        of: Component::Platform,
        what: "single sign-on",
    },
    Need {
        begun_by: &["AUTH_USER_REGISTRATION_ROLE"],
        on: Component::Platform,
        needs: &["AUTH_USER_REGISTRATION"],
        of: Component::Platform,
        what: "self-registration",
    },
    Need {
        begun_by: &["OAUTH_SCOPES"],
        on: Component::Platform,
        needs: &["OAUTH_OFFLINE_ACCESS_SCOPE", "OAUTH_PROVIDER"],
        of: Component::Platform,
        what: DATABRICKS,
    },
    Need {
        begun_by: &["OAUTH_OFFLINE_ACCESS_SCOPE"],
        on: Component::Platform,
        needs: &["OAUTH_SCOPES"],
        of: Component::Platform,
        what: DATABRICKS,
    },
    Need {
        begun_by: &["OAUTH_SCOPES"],
        on: Component::Platform,
        needs: &["OAUTH_OFFLINE_ACCESS_SCOPE"],
        of: Component::Server,
        what: DATABRICKS,
    },
    Need {
        begun_by: &["OAUTH_REFRESH_TOKEN_EXPIRATION", "OAUTH_REFRESH_TOKEN_VALIDATION"],
        on: Component::Server,
        needs: &["OAUTH_OFFLINE_ACCESS_SCOPE"],
        of: Component::Server,
        what: DATABRICKS,
    },
    Need {
        begun_by: &["OAUTH_OFFLINE_ACCESS_SCOPE"],
        on: Component::Server,
        needs: &["OAUTH_OFFLINE_ACCESS_SCOPE", "OAUTH_SCOPES"],
        of: Component::Platform,
        what: DATABRICKS,
    },
    Need {
        begun_by: &["SYNC_GROUPS_INTERVAL", "SYNC_GROUPS_AUTO_CREATE_USER"],
        on: Component::Server,
        needs: PRINCIPAL,
        of: Component::Server,
        what: "group sync",
    },
    Need {
        begun_by: &["SYNC_GROUPS_INTERVAL", "SYNC_GROUPS_AUTO_CREATE_USER"],
        on: Component::Server,
        needs: &["OAUTH_PROVIDER"],
        of: Component::Platform,
        what: "group sync",
    },
    Need {
        begun_by: &["KV_VAULT", "KV_VAULT_TYPE", "KV_VAULT_AUTH_TYPE"],
        on: Component::Server,
        needs: &[
            "KV_VAULT_TYPE",
            "KV_VAULT_AUTH_TYPE",
            "KV_VAULT",
            "AZURE_CLIENT_ID",
            "AZURE_TENANT_ID",
            "AZURE_CLIENT_SECRET",
        ],
        of: Component::Server,
        what: "the key vault",
    },
    Need {
        begun_by: &[
            "JWT_TYPE",
            "JWT_DEFAULT_ALGORITHM",
            "JWT_DEFAULT_AUDIENCE",
            "JWT_DEFAULT_KEY",
            "JWT_USE_EMAIL_OR_USER",
            "JWT_ISSUER",
            "JWT_USE_TENANT_USER",
            "_ALGORITHM",
            "_AUDIENCE",
            "_KEY",
        ],
        on: Component::Api,
        needs: &["ENABLE_TOKEN"],
        of: Component::Api,
        what: TOKENS,
    },
    Need { begun_by: &["ENABLE_TOKEN"], on: Component::Api, needs: &["JWT_TYPE"], of: Component::Api, what: TOKENS },
];

/// What is begun on a service and not complete.
pub fn problems(service: &Service, group: &Group<'_>) -> Vec<Problem> {
    let needs = NEEDS.iter().filter(|need| need.on == service.component);
    needs.filter_map(|need| problem(need, service, group)).chain(key_of_custom_tokens(service)).collect()
}

fn problem(need: &Need, service: &Service, group: &Group<'_>) -> Option<Problem> {
    let begun_by = service.variables.iter().find(|variable| begins(need, variable))?;
    // With another provider other variables belong together.
    let is_azure = service.meant("OAUTH_PROVIDER").is_some_and(|provider| provider.as_str() == "azure");
    if need.on == Component::Platform && service.variable("OAUTH_PROVIDER").is_some() && !is_azure {
        return None;
    }
    let of = if need.of == need.on { service } else { group.only(need.of)? };
    if of.is_open() {
        return None;
    }
    let missing: Vec<&str> = need.needs.iter().copied().filter(|name| !of.has(name)).collect();
    if missing.is_empty() {
        return None;
    }
    let (name, missing) = (&begun_by.name, words::all_of(&missing));
    let place = if need.of == need.on { "here".to_owned() } else { format!("on {}", of.title) };
    let message = format!(
        "{name} begins {}, which needs {missing} {place} as well; set what is missing, or remove {name}",
        need.what
    );
    Some(Problem::error(&begun_by.path, Code::VariableMissing, message))
}

/// What is switched off begins nothing.
fn begins(need: &Need, variable: &Variable) -> bool {
    let is_named = variable.documented().is_some_and(|known| need.begun_by.contains(&known.name));
    is_named && !variable.meant().is_some_and(|meant| meant.as_str().eq_ignore_ascii_case("false"))
}

/// Tokens of type custom are checked with a key, which may be a tenant's.
fn key_of_custom_tokens(service: &Service) -> Option<Problem> {
    let type_ =
        service.variable("JWT_TYPE").filter(|type_| type_.meant().is_some_and(|type_| type_.as_str() == "custom"))?;
    let names = service.variables.iter().map(|variable| &variable.name).chain(&service.ours);
    let has_key = names.into_iter().any(|name| name.starts_with("JWT_") && name.ends_with("_KEY"));
    (!has_key && !service.is_open()).then(|| {
        let message = "JWT_TYPE custom needs JWT_DEFAULT_KEY, with which tokens are checked (a PEM public key or a secret), or a key per tenant; set it";
        Problem::error(&type_.path, Code::VariableMissing, message)
    })
}
