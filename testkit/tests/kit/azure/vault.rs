//! The vault asks for a token, gives secrets, and denies as told.

use http::Method;
use serde_json::{Value, json};
use testkit::azure::Service::{Entra, Vault};
use testkit::azure::{Denial, Operation, VaultSecret, guid};

use super::{API, ask, furnished, request, send};

#[tokio::test]
async fn the_vault_asks_for_a_token_and_gives_secrets() {
    let (azure, app, _, token) = furnished();
    azure.edit_vault(|vault| {
        vault.set("client-secret", VaultSecret::new("s3cret"));
        vault.set("ended", VaultSecret::new("old").expired());
        vault.set("off", VaultSecret::new("off").disabled());
    });
    let unauthorized = send(&azure, Vault, request(Method::PUT, &format!("/secrets/x?{API}"), "")).await.unwrap();
    let challenge = format!(
        "Bearer authorization=\"{}/{}\", resource=\"https://vault.azure.net\"",
        azure.url(Entra),
        azure.tenant()
    );
    assert_eq!(unauthorized.status().as_u16(), 401);
    assert_eq!(unauthorized.headers()["www-authenticate"], challenge);
    let body: Value = unauthorized.body().parse().unwrap();
    let text = "AKV10000: Request is missing a Bearer or PoP token.";
    assert_eq!(body, json!({"error": {"code": "Unauthorized", "message": text}}));

    let ask = async |method: Method, path: &str, body: &str| {
        let mut request = request(method, path, &token);
        body.clone_into(request.body_mut());
        ask(&azure, Vault, request).await
    };
    let read = async |name: &str| ask(Method::GET, &format!("/secrets/{name}?{API}"), "").await;
    for (name, value) in
        [("client-secret", "s3cret"), ("client-secret/", "s3cret"), ("CLIENT-secret", "s3cret"), ("ended", "old")]
    {
        let (status, found) = read(name).await;
        assert_eq!((status, &found["value"]), (200, &json!(value)), "{name}");
    }
    let (_, ended) = read("ended").await;
    assert!(ended["attributes"]["exp"].as_u64().is_some() && ended["attributes"]["enabled"] == true, "{ended}");
    let version = ended["id"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(read(&format!("ended/{version}")).await.0, 200);
    for (name, status, code, inner) in [
        ("missing", 404, "SecretNotFound", Value::Null),
        ("ended/0123", 404, "SecretNotFound", Value::Null),
        ("off", 403, "Forbidden", json!({"code": "SecretDisabled"})),
        ("a_b", 400, "BadParameter", Value::Null),
    ] {
        let (answered, refusal) = read(name).await;
        let error = &refusal["error"];
        assert_eq!((answered, &error["code"], &error["innererror"]), (status, &json!(code), &inner), "{name}");
    }
    let (_, page) = ask(Method::GET, &format!("/secrets?{API}&maxresults=1"), "").await;
    assert_eq!(page["value"][0]["id"], format!("{}/secrets/client-secret", azure.url(Vault)));
    assert_eq!(page["value"][0]["value"], Value::Null);
    let next = page["nextLink"].as_str().unwrap().strip_prefix(azure.url(Vault)).unwrap();
    assert_eq!(ask(Method::GET, next, "").await.1["value"].as_array().unwrap().len(), 1);

    let (put, new) = (format!("/secrets/new?{API}"), r#"{"value": "hush", "tags": {"of": "timbr"}}"#);
    assert_eq!(ask(Method::PUT, &put, new).await.1["value"], "hush");
    assert_eq!((&*azure.vault().secrets["new"].value, azure.vault().secrets["new"].tags.len()), ("hush", 1));
    let (status, gone) = ask(Method::DELETE, &put, "").await;
    assert_eq!((status, &gone["recoveryId"]), (200, &json!(format!("{}/deletedsecrets/new", azure.url(Vault)))));
    let (status, refusal) = ask(Method::PUT, &put, new).await;
    assert_eq!((status, &refusal["error"]["innererror"]["code"]), (409, &json!("ObjectIsDeletedButRecoverable")));
    let deleted = format!("/deletedsecrets/new?{API}");
    assert_eq!(ask(Method::GET, &deleted, "").await.0, 200);
    assert_eq!(ask(Method::DELETE, &deleted, "").await.0, 204);
    assert_eq!(ask(Method::PUT, &put, new).await.0, 200);
    assert!(!format!("{:?}{:?}", azure.received(), azure.vault()).contains("hush"), "a value is shown");

    for denial in Denial::ALL {
        azure.edit_vault(|vault| vault.deny_all(denial));
        for (operation, method, path) in [
            (Operation::List, Method::GET, format!("/secrets?{API}")),
            (Operation::Get, Method::GET, format!("/secrets/missing?{API}")),
            (Operation::Set, Method::PUT, put.clone()),
            (Operation::Delete, Method::DELETE, put.clone()),
        ] {
            let (status, refusal) = ask(method.clone(), &path, new).await;
            let error = &refusal["error"];
            assert_eq!((status, &error["code"]), (403, &json!("Forbidden")), "{operation:?}");
            assert_eq!(error["innererror"]["code"], format!("{denial:?}"));
            assert!(error["message"].as_str().unwrap().contains(&app.client_id), "{error}");
            azure.edit_vault(|vault| vault.allow(operation));
            assert_ne!(ask(method, &path, new).await.0, 403, "{operation:?}");
        }
    }
    assert_eq!(azure.violations(), [""; 0]);
    azure.edit_vault(|vault| vault.tenant = guid());
    let (status, refusal) = read("ended").await;
    assert_eq!(status, 401);
    assert!(refusal["error"]["message"].as_str().unwrap().starts_with("AKV10032: Invalid issuer."), "{refusal}");
}
