//! What a resource needs, as `az` commands. What a person must decide on, or adapt, is a comment.

use std::collections::BTreeMap;

use crate::{
    api::{AzureSsoSpec, Credentials, KeyVaultBindingSpec, SecretKeyRef, Spec, Status},
    compose::{GROUP_SYNC, PASSTHROUGH, Permission, SIGN_ON, VAULT_PERMISSIONS, VAULT_ROLE},
};

use super::{
    Readable,
    shell::{comment, quoted},
};

/// The commands for a resource of an installation, a line each.
pub fn commands(Readable { judgement, spec }: &Readable<'_>, all: &[Readable<'_>]) -> Vec<String> {
    let mut commands = app(spec, all).lines();
    match spec {
        Spec::AzureSso(_) => {
            commands.extend(registration(&judgement.details));
            commands.extend(permissions(SIGN_ON));
        }
        Spec::DatabricksPassthrough(_) => commands.extend(permissions(PASSTHROUGH)),
        Spec::RoleGroupSync(_) => commands.extend(permissions(GROUP_SYNC)),
        Spec::KeyVaultBinding(vault) => commands.extend(vault_access(vault)),
        _ => {}
    }
    if let Some(reference) = client_secret_ref(spec) {
        commands.extend(client_secret(&judgement.meta.namespace, reference));
    }
    commands
}

/// The app registration that commands are about.
enum App {
    /// Its client id.
    Id(String),
    /// Its client id is in a Secret, and not told.
    Secret(SecretKeyRef),
    /// Nobody names it.
    Unknown,
}

impl App {
    fn new(id: Option<&String>, id_ref: Option<&SecretKeyRef>) -> Self {
        match (id, id_ref) {
            (Some(id), _) => App::Id(id.clone()),
            (None, Some(reference)) => App::Secret(reference.clone()),
            (None, None) => App::Unknown,
        }
    }

    fn of_sign_on(sso: Option<&AzureSsoSpec>) -> Self {
        sso.map_or(App::Unknown, |sso| Self::new(sso.client_id.as_ref(), sso.client_id_ref.as_ref()))
    }

    /// Sets `CLIENT_ID`, or has a person set it: never is that of another resource taken.
    fn lines(&self) -> Vec<String> {
        let where_ = match self {
            App::Id(id) => return vec![format!("CLIENT_ID={}", quoted(id))],
            App::Secret(SecretKeyRef { name, key }) => format!("It is in Secret {name}, key {key}, and is not told."),
            App::Unknown => "It is that of the AzureSso, which is not in the input or not right.".to_owned(),
        };
        vec![
            comment(&format!("Write the Application (client) ID between the quotation marks. {where_}")),
            "CLIENT_ID=''".to_owned(),
            ": \"${CLIENT_ID:?write the Application (client) ID into the line above}\"".to_owned(),
        ]
    }
}

fn app(spec: &Spec, all: &[Readable<'_>]) -> App {
    match spec {
        Spec::AzureSso(sso) => App::of_sign_on(Some(sso)),
        Spec::DatabricksPassthrough(_) => App::of_sign_on(sign_on(all, None)),
        Spec::KeyVaultBinding(vault) => app_of_credentials(&vault.credentials, all),
        Spec::RoleGroupSync(groups) => app_of_credentials(&groups.credentials, all),
        _ => App::Unknown,
    }
}

fn app_of_credentials(credentials: &Credentials, all: &[Readable<'_>]) -> App {
    match &credentials.credentials_from {
        Some(from) => App::of_sign_on(sign_on(all, Some(&from.azure_sso))),
        None => App::new(credentials.client_id.as_ref(), credentials.client_id_ref.as_ref()),
    }
}

/// The AzureSso of the installation, or that with a name.
fn sign_on<'a>(all: &[Readable<'a>], name: Option<&str>) -> Option<&'a AzureSsoSpec> {
    let accepted = all.iter().filter(|resource| resource.judgement.accepted.is_true());
    let named = accepted.filter(|resource| name.is_none_or(|name| name == resource.judgement.meta.name));
    named.map(|resource| resource.spec).find_map(|spec| match spec {
        Spec::AzureSso(sso) => Some(sso),
        _ => None,
    })
}

/// Makes or corrects the app registration of single sign-on.
fn registration(details: &Status) -> Vec<String> {
    let redirect_uri = match details {
        Status::AzureSso(status) => status.redirect_uri.as_deref().unwrap_or_default(),
        _ => "",
    };
    let settings = format!("--sign-in-audience AzureADMyOrg --web-redirect-uris {}", quoted(redirect_uri));
    vec![
        comment("No app registration yet? Make one, and put its appId where the resource has the client id:"),
        comment(&format!("  az ad app create --display-name 'Timbr Platform' {settings}")),
        comment("  az ad sp create --id APP-ID"),
        comment("The redirect URIs of an app registration are replaced: add those that must stay."),
        format!("az ad app update --id \"$CLIENT_ID\" {settings}"),
    ]
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

/// Lets the service principal use the vault.
fn vault_access(vault: &KeyVaultBindingSpec) -> Vec<String> {
    let host = vault.vault_url.trim_start_matches("https://");
    let name = quoted(host.split('.').next().unwrap_or_default());
    let permissions = VAULT_PERMISSIONS.to_ascii_lowercase().replace(',', "");
    vec![
        comment("A vault with access policies:"),
        format!("az keyvault set-policy --name {name} --spn \"$CLIENT_ID\" --secret-permissions {permissions}"),
        comment("A vault with Azure RBAC, instead:"),
        comment(&format!(
            "  az role assignment create --role '{VAULT_ROLE}' --assignee \"$CLIENT_ID\" --scope \"$(az keyvault show --name {name} --query id --output tsv)\""
        )),
    ]
}

/// Where a resource of its own looks for the client secret.
fn client_secret_ref(spec: &Spec) -> Option<&SecretKeyRef> {
    match spec {
        Spec::AzureSso(sso) => Some(&sso.client_secret_ref),
        Spec::KeyVaultBinding(vault) => vault.credentials.client_secret_ref.as_ref(),
        Spec::RoleGroupSync(groups) => groups.credentials.client_secret_ref.as_ref(),
        _ => None,
    }
}

/// Puts a new client secret where the resource looks for it: it goes through a pipe, and is neither
/// printed nor an argument that others on the machine can see.
fn client_secret(namespace: &str, SecretKeyRef { name, key }: &SecretKeyRef) -> Vec<String> {
    let (name, namespace) = (quoted(name), quoted(namespace));
    let file = quoted(&format!("{key}=/dev/stdin"));
    vec![
        comment("A new client secret, straight into the Secret (the old one stays valid until it is deleted):"),
        comment(
            "  az ad app credential reset --id \"$CLIENT_ID\" --append --query password --output tsv | tr -d '\\r\\n' |",
        ),
        comment(&format!(
            "  kubectl create secret generic {name} --namespace {namespace} --from-file={file} --dry-run=client --output yaml |"
        )),
        comment("  kubectl apply --server-side --force-conflicts --filename -"),
    ]
}
