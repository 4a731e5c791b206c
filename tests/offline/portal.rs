//! What `portal` prints.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::run::run;

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

#[test]
fn single_sign_on_as_a_script() {
    let printed = run(&format!("portal -n timbr -f {}", example("single-sign-on")), "");
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    assert_eq!(
        printed.out,
        "# AzureSso timbr/sso\n\
         #\n\
         #  Redirect URI (Web): https://timbr.example.com/oauth-authorized/azure\n\
         #  Supported account types (Setting): Accounts in this organizational directory only (AzureADMyOrg)\n\
         #  API permission Microsoft Graph email (Delegated): 64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0\n\
         #  API permission Microsoft Graph openid (Delegated): 37f7f235-527c-4136-accd-4a02d197296e\n\
         #  API permission Microsoft Graph profile (Delegated): 14dad69e-099b-42c9-810b-d002981feec1\n\
         #  API permission Microsoft Graph User.Read (Delegated): e1fe6dd8-ba31-4d61-89e7-88639da4683d\n\
         #  Admin consent (Link): https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/adminconsent?client_id=66666666-7777-8888-9999-000000000000\n\
         #\n\
         CLIENT_ID='66666666-7777-8888-9999-000000000000'\n\
         # Without an app registration yet: make one, and note its appId.\n\
         # az ad app create --display-name 'Timbr Platform' --sign-in-audience AzureADMyOrg --web-redirect-uris 'https://timbr.example.com/oauth-authorized/azure'\n\
         az ad app update --id \"$CLIENT_ID\" --sign-in-audience AzureADMyOrg --web-redirect-uris 'https://timbr.example.com/oauth-authorized/azure'\n\
         az ad app permission add --id \"$CLIENT_ID\" --api 00000003-0000-0000-c000-000000000000 --api-permissions 64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0=Scope 37f7f235-527c-4136-accd-4a02d197296e=Scope 14dad69e-099b-42c9-810b-d002981feec1=Scope e1fe6dd8-ba31-4d61-89e7-88639da4683d=Scope\n\
         az ad app permission admin-consent --id \"$CLIENT_ID\"\n\
         # A new client secret, put where the resource looks for it:\n\
         # kubectl create secret generic 'entra' --namespace 'timbr' --from-literal='client-secret='\"$(az ad app credential reset --id \"$CLIENT_ID\" --append --query password --output tsv)\"\n\n"
    );
}

#[test]
fn everything_is_a_script_that_a_shell_takes() {
    for entry in fs::read_dir(example("")).expect("examples") {
        let folder = entry.expect("a folder").path();
        let printed = run(&format!("portal -f {}", folder.display()), "");
        let checked = Command::new("sh").args(["-n", "-c", &printed.out]).status().expect("a shell");
        assert!(checked.success(), "{}: {}", folder.display(), printed.out);
    }
    let printed = run(&format!("portal -f {}", example("everything")), "");
    for line in [
        "az ad app permission add --id \"$CLIENT_ID\" --api 00000003-0000-0000-c000-000000000000 --api-permissions df021288-bdef-4463-88db-98f22de89214=Role 5b567255-7703-4780-807c-7be8301ae99b=Role 98830695-27a2-44f7-8c18-0c3ebc9698f6=Role",
        "az ad app permission add --id \"$CLIENT_ID\" --api 2ff814a6-3304-4ab8-85cb-cd0e6f879c1d --api-permissions 739272be-e143-11e8-9f32-f2801f1b9fd1=Scope",
        "az ad app permission add --id \"$CLIENT_ID\" --api 00000003-0000-0000-c000-000000000000 --api-permissions 7427e0e9-2fba-42fe-b0c0-848c9e6a8182=Scope",
        "az keyvault set-policy --name 'contoso-timbr' --spn \"$CLIENT_ID\" --secret-permissions get list set delete",
        "#    Additional Parameters: AuthMech=11;Auth_Flow=0",
    ] {
        assert!(printed.out.lines().any(|printed| printed == line), "{line}\n{}", printed.out);
    }
    // All of it is about one app registration.
    let ids: Vec<&str> = printed.out.lines().filter(|line| line.starts_with("CLIENT_ID=")).collect();
    assert_eq!(ids, ["CLIENT_ID='66666666-7777-8888-9999-000000000000'"; 4]);
}

#[test]
fn a_client_id_in_a_secret_is_asked_for() {
    let printed = run(&format!("portal -f {}", example("installation")), "");
    assert_eq!(printed.code, 0, "{}", printed.err);
    assert!(printed.out.contains("adminconsent?client_id=CLIENT-ID\n"), "{}", printed.out);
    assert!(printed.out.contains(": \"${CLIENT_ID:?set it to the Application (client) ID}\"\n"), "{}", printed.out);
    assert!(!printed.out.contains("66666666"), "{}", printed.out);
}

#[test]
fn the_list_is_that_of_the_status() {
    let printed = run(&format!("portal -f {} -o json", example("key-vault")), "");
    let list: Value = serde_json::from_str(&printed.out).expect("JSON");
    assert_eq!(
        list,
        serde_json::json!([{
            "kind": "KeyVaultBinding", "namespace": "default", "name": "vault",
            "portal": [
                {"what": "Access policy of contoso-timbr.vault.azure.net: secret permissions", "value": "Get, List, Set, Delete", "kind": "Setting"},
                {"what": "or, with Azure RBAC, role assignment on contoso-timbr.vault.azure.net", "value": "Key Vault Secrets Officer", "kind": "Setting"},
            ],
        }])
    );
}
