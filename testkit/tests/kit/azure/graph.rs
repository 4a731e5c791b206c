//! What Graph shows of a tenant, and to whom.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::azure::Service::Graph;
use testkit::azure::{GRAPH_PRINCIPAL, Grant, Group, Secret, guid};

use super::{GRAPH, ask, encode, furnished, get};

#[tokio::test]
async fn graph_shows_what_may_be_seen() {
    let (azure, app, token, _) = furnished();
    let (mail, one) = (Some("o'x+1@example.com".to_owned()), Group::new(azure.tenant(), "O'X & co"));
    let other = Group { mail, ..Group::new(azure.tenant(), "Twins") };
    let foreign = Group::new(&guid(), "Foreign");
    for group in [&one, &other, &Group::new(azure.tenant(), "Twins"), &foreign] {
        azure.set_group(group.clone());
    }
    let secret = Secret { display_name: Some("main".to_owned()), ..Secret::of("abcdef") };
    azure.edit_app(&app.client_id, |app| {
        app.secrets = vec![secret.clone()];
        app.redirect_uris.push("https://timbr.example/callback".to_owned());
        app.grants.push(Grant::for_all("User.Read openid"));
    });
    let groups = |filter: &str, more: &str| format!("/v1.0/groups?$filter={}{more}", encode(filter));
    let found = async |path: &str| {
        let (status, answer) = ask(&azure, Graph, get(path, &token)).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    let ids = |answer: &Value| {
        answer["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };

    assert_eq!(found(&format!("/v1.0/groups/{}", one.id)).await["displayName"], "O'X & co");
    assert_eq!(ids(&found(&groups("displayName eq 'O''X & co'", "")).await), [&*one.id]);
    assert_eq!(ids(&found(&groups("displayName eq 'o''x & CO'", "")).await), [&*one.id]);
    assert_eq!(ids(&found(&groups("mail eq 'o''x+1@example.com'", "")).await), [&*other.id]);
    assert_eq!(ids(&found("/v1.0/groups?%24filter=mail+eq+'o''x%2B1@example.com'").await), [&*other.id]);
    assert_eq!(ids(&found(&groups("displayName eq 'Foreign'", "")).await), [""; 0]);
    let page = found(&groups("displayName eq 'Twins'", "&$top=1&$select=id,displayName")).await;
    let properties: BTreeSet<_> = page["value"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(properties, BTreeSet::from(["displayName", "id"]));
    let next = page["@odata.nextLink"].as_str().unwrap().strip_prefix(azure.url(Graph)).unwrap();
    let last = found(next).await;
    assert_eq!((ids(&last).len(), &last["@odata.nextLink"]), (1, &Value::Null));
    assert_ne!(ids(&last), ids(&page));

    let path = format!("/v1.0/applications(appId='{}')?$select=web,spa,passwordCredentials", app.client_id);
    let shown = found(&path).await;
    assert_eq!(shown["web"]["redirectUris"], json!(["https://timbr.example/callback"]));
    assert_eq!(shown["spa"]["redirectUris"], json!([]));
    let password = &shown["passwordCredentials"][0];
    assert_eq!((&password["hint"], &password["displayName"]), (&json!("abc"), &json!("main")));
    assert_eq!((&password["keyId"], &password["secretText"]), (&json!(secret.key_id), &Value::Null));
    assert!(password["endDateTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(shown["appId"], Value::Null);
    let encoded =
        format!("/v1.0/applications%28appId%3D%27{}%27%29?$select=signInAudience,publicClient", app.client_id);
    assert_eq!(found(&encoded).await["signInAudience"], "AzureADMyOrg");
    let principal = found(&format!("/v1.0/servicePrincipals(appId='{}')", app.client_id)).await;
    assert_eq!(principal["id"], app.principal_id);
    let grants = async |id: &str| found(&format!("/v1.0/oauth2PermissionGrants?$filter=clientId%20eq%20'{id}'")).await;
    let grant = &grants(&app.principal_id).await["value"][0];
    assert_eq!((&grant["consentType"], &grant["scope"]), (&json!("AllPrincipals"), &json!("User.Read openid")));
    assert_eq!(grant["resourceId"], GRAPH_PRINCIPAL);
    // The client id is not the id of the service principal, which is asked for.
    assert_eq!(ids(&grants(&app.client_id).await), [""; 0]);

    for (path, status, code) in [
        (format!("/v1.0/groups/{}", guid()), 404, "Request_ResourceNotFound"),
        (format!("/v1.0/groups/{}", foreign.id), 404, "Request_ResourceNotFound"),
        ("/v1.0/groups/Twins".to_owned(), 400, "Request_BadRequest"),
        (format!("/v1.0/applications(appId='{}')", guid()), 404, "Request_ResourceNotFound"),
    ] {
        let (answered, refusal) = ask(&azure, Graph, get(&path, &token)).await;
        assert_eq!((answered, &refusal["error"]["code"]), (status, &json!(code)), "{path}");
        assert!(refusal["error"]["innerError"]["request-id"].is_string(), "{refusal}");
    }
    for (role, path) in [
        ("GroupMember.Read.All", format!("/v1.0/groups/{}", one.id)),
        ("GroupMember.Read.All", format!("/v1.0/groups/{}", guid())),
        ("Application.Read.All", path),
        ("DelegatedPermissionGrant.Read.All", "/v1.0/oauth2PermissionGrants".to_owned()),
    ] {
        azure.edit_app(&app.client_id, |app| app.revoke(role));
        assert_ne!(ask(&azure, Graph, get(&path, &token)).await.0, 403, "a token that is there lost {role}");
        let token = azure.token(&app.client_id, GRAPH);
        let (status, refusal) = ask(&azure, Graph, get(&path, &token)).await;
        assert_eq!((status, &refusal["error"]["code"]), (403, &json!("Authorization_RequestDenied")), "{path}");
    }
    azure.remove_group(&one.id);
    assert_eq!(ask(&azure, Graph, get(&format!("/v1.0/groups/{}", one.id), &token)).await.0, 404);
    azure.set_resource(Graph, "https://graph.microsoft.us");
    assert_eq!(azure.violations(), [""; 0]);
    assert_eq!(ask(&azure, Graph, get("/v1.0/groups", &token)).await.0, 401, "a token of another cloud");
}
