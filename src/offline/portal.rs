//! What `portal` prints: what a person sets in Azure's portal for each resource, as comments, and the
//! same as `az` commands. The whole is a POSIX shell script.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    api::{Credentials, Datasource, PortalEntry, Resource, SecretKeyRef, Spec, Status},
    compose::{GROUP_SYNC, Judgement, PASSTHROUGH, Permission, SIGN_ON},
};

use super::{Installation, Judged};

/// What there is to set for one resource.
#[derive(Clone, Debug, Serialize)]
pub struct Portal {
    /// The kind.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// As in its status.
    pub portal: Vec<PortalEntry>,
    /// The datasource to create in Timbr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datasource: Option<Datasource>,
    #[serde(skip)]
    commands: Vec<String>,
}

/// What there is to set for the resources of an input.
pub fn portals(judged: &Judged<'_>) -> Vec<Portal> {
    let of = |installation: &Installation| {
        let resources = &installation.snapshot.resources;
        let judgements = installation.plan.resources.iter();
        judgements.filter_map(|judgement| portal(judgement, resources)).collect::<Vec<_>>()
    };
    judged.installations.iter().flat_map(of).collect()
}

/// As JSON.
///
/// # Errors
/// Never, in practice: it is strings.
pub fn portal_json(portals: &[Portal]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(portals).map(|text| text + "\n")
}

/// As a script that a person reads before running it.
pub fn portal_script(portals: &[Portal]) -> String {
    let mut script = String::new();
    for Portal { kind, namespace, name, portal, datasource, commands } in portals {
        script += &format!("# {kind} {namespace}/{name}\n#\n");
        for PortalEntry { what, value, kind } in portal {
            script += &comment(&format!("  {what} ({kind}): {value}"));
        }
        for line in datasource.iter().flat_map(form) {
            script += &comment(&line);
        }
        script += "#\n";
        for command in commands {
            script += command;
            script.push('\n');
        }
        script.push('\n');
    }
    script
}

fn portal(judgement: &Judgement, all: &[Resource<Spec>]) -> Option<Portal> {
    let (portal, datasource) = match &judgement.details {
        Status::AzureSso(status) => (&status.portal, None),
        Status::DatabricksPassthrough(status) => (&status.portal, status.datasource.clone()),
        Status::KeyVaultBinding(status) => (&status.portal, None),
        Status::RoleGroupSync(status) => (&status.portal, None),
        _ => return None,
    };
    if portal.is_empty() {
        return None;
    }
    Some(Portal {
        kind: judgement.meta.kind.name(),
        namespace: judgement.meta.namespace.clone(),
        name: judgement.meta.name.clone(),
        portal: portal.clone(),
        datasource,
        commands: commands(judgement, all),
    })
}

/// The form of the datasource.
fn form(datasource: &Datasource) -> Vec<String> {
    let Datasource { type_, name, hostname, port, user, password, additional_parameters } = datasource;
    vec![
        "  In Timbr, Datasources, Add New Datasource:".to_owned(),
        format!("    Datasource Type: {type_}"),
        format!("    Datasource Name: {name}"),
        format!("    Hostname/IP: {hostname}"),
        format!("    Port: {port}"),
        format!("    User: {user}"),
        format!("    Password: {password}"),
        format!("    Additional Parameters: {additional_parameters}"),
    ]
}

/// A comment is one line, whatever stands in it.
fn comment(text: &str) -> String {
    format!("#{}\n", text.replace(|c: char| c.is_control(), " "))
}

/// A word that a POSIX shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn commands(judgement: &Judgement, all: &[Resource<Spec>]) -> Vec<String> {
    let Some(Ok(spec)) = all.iter().find(|there| there.meta == judgement.meta).map(|there| &there.spec) else {
        return vec![];
    };
    let mut commands = vec![client_id(spec, all)];
    match spec {
        Spec::AzureSso(sso) => {
            let redirect = match &judgement.details {
                Status::AzureSso(status) => status.redirect_uri.clone().unwrap_or_default(),
                _ => String::new(),
            };
            let redirect = quoted(&redirect);
            commands.extend([
                "# Without an app registration yet: make one, and note its appId.".to_owned(),
                format!(
                    "# az ad app create --display-name 'Timbr Platform' --sign-in-audience AzureADMyOrg --web-redirect-uris {redirect}"
                ),
                format!(
                    "az ad app update --id \"$CLIENT_ID\" --sign-in-audience AzureADMyOrg --web-redirect-uris {redirect}"
                ),
            ]);
            commands.extend(permissions(SIGN_ON));
            commands.extend(client_secret(&judgement.meta.namespace, &sso.client_secret_ref));
        }
        Spec::DatabricksPassthrough(_) => commands.extend(permissions(PASSTHROUGH)),
        Spec::RoleGroupSync(_) => commands.extend(permissions(GROUP_SYNC)),
        Spec::KeyVaultBinding(vault) => {
            let host = vault.vault_url.trim_start_matches("https://");
            let name = quoted(host.split('.').next().unwrap_or_default());
            commands.extend([
                "# A vault with access policies:".to_owned(),
                format!(
                    "az keyvault set-policy --name {name} --spn \"$CLIENT_ID\" --secret-permissions get list set delete"
                ),
                "# A vault with Azure RBAC, instead:".to_owned(),
                format!(
                    "# az role assignment create --role 'Key Vault Secrets Officer' --assignee \"$CLIENT_ID\" --scope \"$(az keyvault show --name {name} --query id --output tsv)\""
                ),
            ]);
        }
        _ => {}
    }
    commands
}

/// The app registration that the commands are about. An id that is in a Secret is not told.
fn client_id(spec: &Spec, all: &[Resource<Spec>]) -> String {
    let sign_on = |name: Option<&str>| {
        all.iter().find_map(|there| match &there.spec {
            Ok(Spec::AzureSso(sso)) if name.is_none_or(|name| name == there.meta.name) => Some(sso),
            _ => None,
        })
    };
    let of = |Credentials { credentials_from, client_id, .. }: &Credentials| match credentials_from {
        Some(from) => sign_on(Some(&from.azure_sso)).and_then(|sso| sso.client_id.clone()),
        None => client_id.clone(),
    };
    let id = match spec {
        Spec::AzureSso(sso) => sso.client_id.clone(),
        Spec::DatabricksPassthrough(_) => sign_on(None).and_then(|sso| sso.client_id.clone()),
        Spec::KeyVaultBinding(vault) => of(&vault.credentials),
        Spec::RoleGroupSync(groups) => of(&groups.credentials),
        _ => None,
    };
    match id {
        Some(id) => format!("CLIENT_ID={}", quoted(&id)),
        None => ": \"${CLIENT_ID:?set it to the Application (client) ID}\"".to_owned(),
    }
}

/// Adds permissions, those of one API together, and consents.
fn permissions(permissions: &[Permission]) -> Vec<String> {
    let mut apis: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Permission { api_id, id, application, .. } in permissions {
        let type_ = if *application { "Role" } else { "Scope" };
        apis.entry(api_id).or_default().push(format!("{id}={type_}"));
    }
    let add = apis.iter().map(|(api, ids)| {
        format!("az ad app permission add --id \"$CLIENT_ID\" --api {api} --api-permissions {}", ids.join(" "))
    });
    add.chain(["az ad app permission admin-consent --id \"$CLIENT_ID\"".to_owned()]).collect()
}

/// Puts a new client secret where the resource looks for it, without showing it.
fn client_secret(namespace: &str, SecretKeyRef { name, key }: &SecretKeyRef) -> Vec<String> {
    let literal = quoted(&format!("{key}="));
    vec![
        "# A new client secret, put where the resource looks for it:".to_owned(),
        format!(
            "# kubectl create secret generic {} --namespace {} --from-literal={literal}\"$(az ad app credential reset --id \"$CLIENT_ID\" --append --query password --output tsv)\"",
            quoted(name),
            quoted(namespace)
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_comes_back_from_a_shell_as_it_is() {
        use proptest::prelude::*;
        let fragments = ["'", "\"", "$(id)", "`id`", "\\", ";", " ", "\n", "ä", "-", "$X", "a"].map(str::to_owned);
        let words = proptest::collection::vec(proptest::sample::select(fragments.to_vec()), 0..8);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
        runner
            .run(&words.prop_map(|parts| parts.concat()), |word| {
                let script = format!("printf %s {}", quoted(&word));
                let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
                prop_assert_eq!(String::from_utf8_lossy(&output.stdout), word);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_comment_is_one_line() {
        assert_eq!(comment(" a\nrm -rf /"), "# a rm -rf /\n");
    }
}
