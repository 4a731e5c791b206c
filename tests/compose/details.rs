//! What statuses say beside conditions: what to set in Azure's portal, and in Timbr's datasource form.

use serde_json::{Value as Json, json};
use timbr_identity::compose::Lookup;

use crate::{
    fixtures::{CLIENT_ID, azure_sso, azure_sso_spec, secret, secret_ref},
    kinds::{databricks, groups, settle, sign_on, vault, world},
    world::World,
};

fn status(world: &World, name: &str) -> Json {
    let resource = world.resources.iter().find(|resource| resource.meta.name == name).expect("a resource");
    serde_json::to_value(resource.status.as_deref().expect("a status")).expect("JSON")
}

/// `WHAT = VALUE (KIND)` of each entry.
fn portal(world: &World, name: &str) -> Vec<String> {
    let status = status(world, name);
    let entries = status["portal"].as_array().into_iter().flatten();
    let text = |entry: &Json, field: &str| entry[field].as_str().expect("a string").to_owned();
    entries.map(|it| format!("{} = {} ({})", text(it, "what"), text(it, "value"), text(it, "kind"))).collect()
}

fn consent(client_id: &str) -> String {
    format!(
        "Admin consent = https://login.microsoftonline.com/contoso.onmicrosoft.com/adminconsent?client_id={client_id} (Link)"
    )
}

#[test]
fn single_sign_on_needs_its_redirect_uri() {
    let mut spec = azure_sso_spec();
    spec.client_secret_ref = secret_ref("a", "client-secret");
    let mut world = world(vec![azure_sso("sso", Ok(spec.clone()))]);
    settle(&mut world);
    const REDIRECT_URI: &str = "https://timbr.example.com/oauth-authorized/azure";
    assert_eq!(status(&world, "sso")["redirectUri"], REDIRECT_URI);
    let permissions = [
        "email = 64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0",
        "openid = 37f7f235-527c-4136-accd-4a02d197296e",
        "profile = 14dad69e-099b-42c9-810b-d002981feec1",
        "User.Read = e1fe6dd8-ba31-4d61-89e7-88639da4683d",
    ];
    let mut expected = vec![
        format!("Redirect URI = {REDIRECT_URI} (Web)"),
        "Supported account types = Accounts in this organizational directory only (AzureADMyOrg) (Setting)".to_owned(),
    ];
    expected.extend(permissions.map(|it| format!("API permission Microsoft Graph {it} (Delegated)")));
    expected.push(consent(CLIENT_ID));
    assert_eq!(portal(&world, "sso"), expected);

    // A client id that is in a Secret is not told.
    (spec.client_id, spec.client_id_ref) = (None, Some(secret_ref("id", "client-id")));
    world.secrets.insert("id".to_owned(), Lookup::Found(secret(&[("client-id", CLIENT_ID)])));
    world.resources[0] = azure_sso("sso", Ok(spec));
    settle(&mut world);
    assert_eq!(portal(&world, "sso").last(), Some(&consent("CLIENT-ID")));
}

#[test]
fn databricks_takes_the_token_of_the_sign_on() {
    let mut world = world(vec![sign_on("a"), databricks()]);
    settle(&mut world);
    let datasource = json!({
        "type": "Databricks",
        "name": "databricks",
        "hostname": "adb-1.azuredatabricks.net",
        "port": 443,
        "user": "token",
        "password": "managed by single sign-on",
        "additionalParameters": "AuthMech=11;Auth_Flow=0",
    });
    assert_eq!(status(&world, "databricks")["datasource"], datasource);
    let permissions = [
        "API permission AzureDatabricks user_impersonation = 739272be-e143-11e8-9f32-f2801f1b9fd1 (Delegated)",
        "API permission Microsoft Graph offline_access = 7427e0e9-2fba-42fe-b0c0-848c9e6a8182 (Delegated)",
    ];
    let mut expected = permissions.map(str::to_owned).to_vec();
    assert_eq!(portal(&world, "databricks"), [expected.clone(), vec![consent(CLIENT_ID)]].concat());

    // Without one that is right nobody knows whose consent it is.
    expected.truncate(2);
    world.resources[0] = sign_on("gone");
    settle(&mut world);
    assert_eq!(portal(&world, "databricks"), expected);
    assert_eq!(status(&world, "databricks")["datasource"], datasource);
}

#[test]
fn the_servers_principal_needs_permissions() {
    let mut world = world(vec![groups(0, "a", json!([])), vault(1, "a", "Remove")]);
    settle(&mut world);
    let permissions = [
        "User.Read.All = df021288-bdef-4463-88db-98f22de89214",
        "Group.Read.All = 5b567255-7703-4780-807c-7be8301ae99b",
        "GroupMember.Read.All = 98830695-27a2-44f7-8c18-0c3ebc9698f6",
    ];
    let mut expected = permissions.map(|it| format!("API permission Microsoft Graph {it} (Application)")).to_vec();
    expected.push(consent(CLIENT_ID));
    assert_eq!(portal(&world, "groups"), expected);
    let expected = [
        "Access policy of contoso.vault.azure.net: secret permissions = Get, List, Set, Delete (Setting)",
        "or, with Azure RBAC, role assignment on contoso.vault.azure.net = Key Vault Secrets Officer (Setting)",
    ];
    assert_eq!(portal(&world, "vault"), expected);
}
