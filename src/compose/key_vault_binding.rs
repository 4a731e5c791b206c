//! What a KeyVaultBinding asks for. Variables: Timbr's documentation, "Azure KeyVault for Datasource
//! Credentials", step 3.

use crate::api::{
    CheckLevel::Required, Code, Component, KeyVaultBindingSpec, KeyVaultBindingStatus, Problem, Status, rules,
};

use super::{Audience, Case, Demand, PlainValue, Probe, Value, VaultUse, credentials, plan::Asked, portal};

/// Variables that say where passwords are kept.
const PREFIX: &str = "KV_";

/// Whether a variable says where passwords are kept.
pub fn is_of_vault(variable: &str) -> bool {
    variable.starts_with(PREFIX)
}

/// What is wrong with the spec by itself.
pub fn problems(spec: &KeyVaultBindingSpec) -> Vec<Problem> {
    let mut problems = credentials::problems(&spec.credentials);
    problems.extend(rules::VAULT_URL.check("spec.vaultUrl", &spec.vault_url));
    problems
}

fn host(url: &str) -> String {
    url.trim_end_matches('/').trim_start_matches("https://").to_ascii_lowercase()
}

/// Whether a vault is where vaults of the cloud are: it receives a credential.
pub fn is_in_cloud(url: &str, suffix: &str) -> bool {
    host(url).ends_with(suffix)
}

/// What an accepted spec asks for.
pub fn ask(spec: &KeyVaultBindingSpec, case: &Case<'_>) -> Asked {
    let mut asked = Asked::default();
    let suffix = &case.snapshot.settings.vault_suffix;
    let url = spec.vault_url.trim_end_matches('/');
    let host = host(url);
    if !is_in_cloud(url, suffix) {
        asked.problems.push(Problem::error(
            "spec.vaultUrl",
            Code::VaultNotInCloud,
            format!(
                "the host must end in {suffix}, as key vaults of the operator's cloud do: the vault receives a credential; correct the address, or set the operator's --cloud or --vault-suffix"
            ),
        ));
        return asked;
    }
    asked.problems.push(Problem::warning(
        "spec",
        Code::KeyVaultTurnedOn,
        "all passwords of datasources go to the key vault from now on; those saved before stay where they are until they are saved again in Timbr",
    ));
    let vault = asked.plain(PlainValue::new("spec.vaultUrl", format!("{url}/")));
    let variables = [
        ("KV_VAULT_TYPE", Some(Value::constant("azure"))),
        ("KV_VAULT_AUTH_TYPE", Some(Value::constant("password"))),
        ("KV_VAULT", vault),
    ];
    asked.demands.extend(
        variables.into_iter().filter_map(|(name, value)| {
            Some(Demand { component: Component::Server, name: name.into(), value: value? })
        }),
    );
    let application = credentials::ask(&spec.credentials, case, &mut asked);
    asked.check_as(application.as_ref(), "ClientCredentials", Required, |it| Probe::Token(it, Audience::KeyVault));
    let uses = [
        ("Vault", Some(VaultUse::Tenant)),
        ("List", Some(VaultUse::List)),
        ("Get", Some(VaultUse::Get)),
        ("SetAndDelete", spec.verify_write.then_some(VaultUse::Write)),
    ];
    for (name, of) in uses.into_iter().filter_map(|(name, of)| Some((name, of?))) {
        asked.check_as(application.as_ref(), name, Required, |it| Probe::Vault(it, format!("{url}/"), of));
    }
    asked.details = Some(Status::KeyVaultBinding(KeyVaultBindingStatus {
        portal: vec![
            portal::entry(format!("Access policy of {host}: secret permissions"), portal::VAULT_PERMISSIONS, "Setting"),
            portal::entry(format!("or, with Azure RBAC, role assignment on {host}"), portal::VAULT_ROLE, "Setting"),
        ],
        ..Default::default()
    }));
    asked
}
