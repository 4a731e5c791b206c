//! What a resource needs, as `az` commands. What a person must decide on, or adapt, is a comment.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{AzureSsoSpec, Credentials, KeyVaultBindingSpec, SecretKeyRef, Spec, Status, rules},
    compose::{GROUP_SYNC, PASSTHROUGH, Permission, SIGN_ON, VAULT_PERMISSIONS, VAULT_ROLE},
};

use super::{
    Readable,
    shell::{comment, quoted},
};

/// The commands for a resource, a line each; `installation` are the resources of its installation, `input`
/// all that there are.
pub fn commands(resource: &Readable<'_>, installation: &[Readable<'_>], input: &[Readable<'_>]) -> Vec<String> {
    let app = app(resource.spec, installation);
    let namespace = &resource.judgement.meta.namespace;
    lines(resource.spec, namespace, &app, &redirect_uris(namespace, &app, input))
}

fn lines(spec: &Spec, namespace: &str, app: &App, redirect_uris: &BTreeSet<&str>) -> Vec<String> {
    let mut lines = app.lines();
    match spec {
        Spec::AzureSso(_) => {
            lines.extend(registration(redirect_uris));
            lines.extend(permissions(SIGN_ON));
        }
        Spec::DatabricksPassthrough(_) => lines.extend(permissions(PASSTHROUGH)),
        Spec::RoleGroupSync(groups) => {
            lines.extend(own_app(&groups.credentials));
            lines.extend(permissions(GROUP_SYNC));
        }
        Spec::KeyVaultBinding(vault) => {
            lines.extend(own_app(&vault.credentials));
            lines.extend(vault_access(vault));
        }
        _ => {}
    }
    if let Some(reference) = client_secret_ref(spec) {
        lines.extend(client_secret(namespace, reference));
    }
    lines
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

    /// Whether both are the same, as far as that can be told; Secrets are those of one namespace.
    fn is_same(&self, other: &Self, is_same_namespace: bool) -> bool {
        match (self, other) {
            (App::Id(a), App::Id(b)) => a.eq_ignore_ascii_case(b),
            (App::Secret(a), App::Secret(b)) => a == b && is_same_namespace,
            _ => false,
        }
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

/// The redirect URIs of an app registration: of every AzureSso of the input that names it, as those that
/// are not listed are taken off it.
fn redirect_uris<'a>(namespace: &str, app: &App, input: &[Readable<'a>]) -> BTreeSet<&'a str> {
    let of = |Readable { judgement, spec }: &Readable<'a>| match (*spec, &judgement.details) {
        (Spec::AzureSso(sso), Status::AzureSso(status))
            if App::of_sign_on(Some(sso)).is_same(app, judgement.meta.namespace == namespace) =>
        {
            status.redirect_uri.as_deref()
        }
        _ => None,
    };
    input.iter().filter_map(of).collect()
}

/// Makes or corrects the app registration of single sign-on.
fn registration(redirect_uris: &BTreeSet<&str>) -> Vec<String> {
    let uris: Vec<String> = redirect_uris.iter().map(|uri| quoted(uri)).collect();
    let settings = format!("--sign-in-audience AzureADMyOrg --web-redirect-uris {}", uris.join(" "));
    let mut lines = new_app("Timbr Platform", &settings);
    lines.push(comment("The redirect URIs of an app registration are replaced: add those that must stay."));
    lines.push(format!("az ad app update --id \"$CLIENT_ID\" {settings}"));
    lines
}

/// How to make the app registration of credentials that are not those of single sign-on.
fn own_app(credentials: &Credentials) -> Vec<String> {
    match credentials.credentials_from {
        Some(_) => vec![],
        None => new_app("Timbr Server", "--sign-in-audience AzureADMyOrg"),
    }
}

fn new_app(name: &str, settings: &str) -> Vec<String> {
    vec![
        comment("No app registration yet? Make one, and put its appId where the resource has the client id:"),
        comment(&format!("  az ad app create --display-name '{name}' {settings}")),
        comment("  az ad sp create --id APP-ID"),
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
/// printed nor an argument that others on the machine can see. The Secret is patched, so that its other
/// keys, labels and annotations stay, whoever manages them.
fn client_secret(namespace: &str, SecretKeyRef { name, key }: &SecretKeyRef) -> Vec<String> {
    // No Secret has another key, and to sed and in JSON it would be more than a name.
    if !rules::SECRET_KEY.holds(key) {
        return vec![];
    }
    let (name, namespace) = (quoted(name), quoted(namespace));
    let file = quoted(&format!("{key}=/dev/stdin"));
    let patch = quoted(&format!(r#"s/.*/{{"data":{{"{key}":"&"}}}}/"#));
    vec![
        comment("A new client secret, straight into the Secret (the old one stays valid until it is deleted):"),
        comment(
            "  az ad app credential reset --id \"$CLIENT_ID\" --append --query password --output tsv | tr -d '\\r\\n' |",
        ),
        comment(&format!("  base64 | tr -d '\\n' | sed {patch} |")),
        comment(&format!("  kubectl patch secret {name} --namespace {namespace} --type merge --patch-file /dev/stdin")),
        comment("Is there no such Secret yet? Then, instead of the last two lines:"),
        comment(&format!("  kubectl create secret generic {name} --namespace {namespace} --from-file={file}")),
    ]
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use serde_json::{Value, json};

    use super::*;

    const UPDATE: [&str; 4] = ["az", "ad", "app", "update"];

    /// The calls that a script makes, each the program and its arguments; what `kubectl` is given on its
    /// standard input is its last argument.
    fn calls(script: &str) -> Vec<Vec<String>> {
        const PROGRAMS: &str = "az() { printf '%s\\000' az \"$@\"; printf '\\036'; }\n\
            kubectl() { printf '%s\\000' kubectl \"$@\"; cat; printf '\\000\\036'; }\n";
        let output = Command::new("sh").args(["-c", &format!("{PROGRAMS}{script}")]).output().expect("a shell");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let words = |call: &str| call.split_terminator('\0').map(str::to_owned).collect();
        text.split_terminator('\u{1e}').map(words).collect()
    }

    fn reference(name: &str, key: &str) -> SecretKeyRef {
        SecretKeyRef { name: name.to_owned(), key: key.to_owned() }
    }

    /// As it stands in a file, whatever the rules say of it.
    fn sso(text: &str) -> Spec {
        let spec = json!({
            "tenantId": text, "clientId": text, "clientSecretRef": {"name": text, "key": text}, "publicUrl": text,
        });
        Spec::AzureSso(serde_json::from_value(spec).expect("a spec"))
    }

    fn vault(text: &str) -> Spec {
        let spec = json!({
            "vaultUrl": format!("https://{text}"), "tenantId": text, "clientId": text,
            "clientSecretRef": {"name": text, "key": "key"},
        });
        Spec::KeyVaultBinding(serde_json::from_value(spec).expect("a spec"))
    }

    /// Text that tries to get out of a quotation, a comment or a line. (A record separator ends a call of
    /// this test.)
    fn hostile() -> impl Strategy<Value = String> {
        let sharp =
            ["'", "\"", "\n", "\r", ";", "$(az pwned)", "`az pwned`", "\naz pwned #", "'\naz pwned '", " ", "\\", "&"];
        let sharp = proptest::sample::select(sharp.map(str::to_owned).to_vec());
        let any = any::<char>().prop_filter("it ends a word", |c| !['\0', '\u{1e}'].contains(c)).prop_map(String::from);
        proptest::collection::vec(prop_oneof![sharp, any], 1..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Also of objects that no cluster would take: a shell calls what it is to call, with every word as
        /// it stands in the resource, and nothing else.
        #[test]
        fn nothing_in_a_resource_makes_a_shell_run_anything(text in hostile(), other in hostile()) {
            let app = App::Id(text.clone());
            let of_sign_on = lines(&sso(&text), &text, &app, &BTreeSet::from([text.as_str(), &other]));
            let mut uris = [text.clone(), other.clone()].to_vec();
            uris.sort();
            uris.dedup();
            let called = calls(&of_sign_on.join("\n"));
            let words = ["--id", &text, "--sign-in-audience", "AzureADMyOrg", "--web-redirect-uris"];
            let update: Vec<String> = UPDATE.iter().chain(&words).map(|word| (*word).to_owned()).chain(uris).collect();
            prop_assert_eq!(&called[0], &update);
            prop_assert_eq!(called.len(), 3);

            let name = text.split('.').next().unwrap_or_default();
            let called = calls(&lines(&vault(&text), &other, &app, &BTreeSet::new()).join("\n"));
            let policy = [
                "az", "keyvault", "set-policy", "--name", name, "--spn", &text, "--secret-permissions", "get", "list",
                "set", "delete",
            ];
            prop_assert_eq!(&called, &[policy.map(str::to_owned).to_vec()]);
        }
    }

    /// What stands there as comments, for a person to run.
    fn uncommented(lines: &[String], from: &str, to: &str) -> String {
        let commands = lines.iter().filter_map(|line| line.strip_prefix("#   "));
        let from = commands.skip_while(|line| !line.starts_with(from));
        let mut commands = Vec::new();
        for line in from {
            commands.push(line);
            if line.starts_with(to) {
                break;
            }
        }
        commands.join("\n")
    }

    #[test]
    fn a_new_client_secret_changes_one_key_and_is_no_argument() {
        // Longer than a line of base64.
        let value = format!("p~1{}", "x".repeat(100));
        let lines = client_secret("timbr", &reference("entra", "client-secret.v_1"));
        let script = uncommented(&lines, "az ", "kubectl patch");
        let script = format!("CLIENT_ID=id\naz() {{ printf '%s\\r\\n' '{value}'; }}\n{script}");
        let called = calls(&script);
        let (patch, words) = called[0].split_last().expect("a call");
        assert_eq!(
            words,
            [
                "kubectl",
                "patch",
                "secret",
                "entra",
                "--namespace",
                "timbr",
                "--type",
                "merge",
                "--patch-file",
                "/dev/stdin"
            ]
        );
        let patch: Value = serde_json::from_str(patch).expect("JSON");
        let encoded = k8s_openapi::ByteString(value.clone().into_bytes());
        assert_eq!(patch, json!({"data": {"client-secret.v_1": encoded}}));
        assert!(!called.iter().any(|call| call.contains(&value)));

        // Of a failed `az` nothing is left to patch.
        let failed = uncommented(&lines, "az ", "kubectl patch");
        assert_eq!(calls(&format!("az() {{ false; }}\n{failed}"))[0].last().map(String::as_str), Some(""));
        let created = calls(&uncommented(&lines, "kubectl create", "kubectl create"));
        assert_eq!(
            created[0][..7],
            ["kubectl", "create", "secret", "generic", "entra", "--namespace", "timbr"].map(str::to_owned)
        );
        assert_eq!(created[0][7], "--from-file=client-secret.v_1=/dev/stdin");
        assert_eq!(client_secret("timbr", &reference("entra", "a/w x")), [] as [String; 0]);
    }

    #[test]
    fn an_app_registration_of_its_own_is_made_by_hand() {
        let create = "#   az ad app create --display-name 'Timbr Server' --sign-in-audience AzureADMyOrg";
        let lines_of = |spec: &Spec| lines(spec, "timbr", &App::Unknown, &BTreeSet::new());
        assert!(lines_of(&vault("v.vault.azure.net")).contains(&create.to_owned()));
        let shared = json!({"vaultUrl": "https://v.vault.azure.net/", "credentialsFrom": {"azureSso": "sso"}});
        let shared = Spec::KeyVaultBinding(serde_json::from_value(shared).expect("a spec"));
        assert!(!lines_of(&shared).iter().any(|line| line.contains("app create")));
    }

    #[test]
    fn app_registrations_that_are_the_same() {
        let id = |id: &str| App::Id(id.to_owned());
        let secret = |key| App::Secret(reference("entra", key));
        assert!(id("ab").is_same(&id("AB"), false) && secret("id").is_same(&secret("id"), true));
        assert!(!id("ab").is_same(&id("ac"), true) && !secret("id").is_same(&secret("id"), false));
        assert!(!secret("id").is_same(&secret("other"), true) && !App::Unknown.is_same(&App::Unknown, true));
    }
}
