//! Discovery, keys, tokens, and refusals as Entra writes them.

use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64};
use http::HeaderValue;
use serde_json::{Value, json};
use testkit::Azure;
use testkit::azure::Service::{Entra, Graph, Vault};
use testkit::azure::{App, Secret, guid};

use super::{API, GRAPH, VAULT, ask, encode, form, get, token_request};

async fn try_secret(azure: &Azure, app: &App, secret: &str) -> (u16, Value) {
    ask(azure, Entra, token_request(azure, &app.client_id, secret, "https://graph.microsoft.com/.default")).await
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// Whether a published key has signed this token.
fn verifies(keys: &Value, token: &str) -> bool {
    let (text, signature) = token.rsplit_once('.').unwrap();
    let header: Value = serde_json::from_slice(&BASE64.decode(text.split('.').next().unwrap()).unwrap()).unwrap();
    let meant = |key: &&Value| key["kid"] == header["kid"] && key["use"] == "sig";
    keys["keys"].as_array().unwrap().iter().find(meant).is_some_and(|key| {
        let number = |name: &str| BASE64.decode(key[name].as_str().unwrap()).unwrap();
        let public = RsaPublicKeyComponents { n: number("n"), e: number("e") };
        let signature = BASE64.decode(signature).unwrap();
        public.verify(&RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), &signature).is_ok()
    })
}

#[tokio::test]
async fn discovery_names_the_tenant() {
    let azure = Azure::start();
    let (base, tenant) = (azure.url(Entra), azure.tenant());
    let v2 = |name: &str| format!("/{name}/v2.0/.well-known/openid-configuration");
    for name in [tenant, "contoso.onmicrosoft.com", "CONTOSO.onmicrosoft.com"] {
        let (status, found) = ask(&azure, Entra, get(&v2(name), "")).await;
        assert_eq!(status, 200, "{name}");
        assert_eq!(found["issuer"], azure.issuer(tenant));
        assert_eq!(found["issuer"], format!("{base}/{tenant}/v2.0"));
        assert_eq!(found["token_endpoint"], format!("{base}/{tenant}/oauth2/v2.0/token"));
        assert_eq!(found["jwks_uri"], format!("{base}/{tenant}/discovery/v2.0/keys"));
    }
    let (_, any) = ask(&azure, Entra, get(&v2("common"), "")).await;
    assert_eq!(any["issuer"], format!("{base}/{{tenantid}}/v2.0"));
    assert_eq!(any["jwks_uri"], format!("{base}/common/discovery/v2.0/keys"));
    let (_, old) = ask(&azure, Entra, get(&format!("/{tenant}/.well-known/openid-configuration"), "")).await;
    assert_eq!(old["issuer"], format!("https://sts.windows.net/{tenant}/"));
    for (name, code) in [(&*guid(), 90_002), ("fabrikam.onmicrosoft.com", 90_002), ("fabrikam", 900_023)] {
        for path in [v2(name), format!("/{name}/discovery/v2.0/keys")] {
            let (status, refusal) = ask(&azure, Entra, get(&path, "")).await;
            assert_eq!((status, &refusal["error"]), (400, &json!("invalid_request")), "{name}");
            assert_eq!(refusal["error_codes"], json!([code]), "{name}");
        }
    }
    azure.remove_tenant(tenant);
    assert_eq!(ask(&azure, Entra, get(&v2(tenant), "")).await.0, 400);
    assert_eq!(azure.violations(), [""; 0]);
}

#[tokio::test]
async fn entra_refuses_as_it_does() {
    let azure = Azure::start();
    let app = azure.register("timbr");
    let (expired, fresh) = (Secret::new().expired(), Secret::new().refused());
    azure.edit_app(&app.client_id, |app| app.secrets.extend([expired.clone(), fresh.clone()]));
    let right = &app.secrets[0];
    let scope = "https://graph.microsoft.com/.default";
    let unknown = guid();
    for (client_id, secret, asked, status, error, code, text) in [
        (&app.client_id, "wrong", scope, 401, "invalid_client", 7_000_215, "Invalid client secret provided. Ensure"),
        (&app.client_id, &*right.key_id, scope, 401, "invalid_client", 7_000_215, "not the client secret ID, for a"),
        (&app.client_id, &*fresh.value, scope, 401, "invalid_client", 7_000_215, "Invalid client secret provided."),
        (&app.client_id, &*expired.value, scope, 401, "invalid_client", 7_000_222, "are expired. Visit the Azure"),
        (&unknown, &*right.value, scope, 400, "unauthorized_client", 700_016, "not found in the directory 'Contoso'"),
        (&app.client_id, &*right.value, "https://graph.microsoft.com", 400, "invalid_scope", 1_002_012, "/.default"),
        (&app.client_id, &*right.value, "https://x.test/.default", 400, "invalid_resource", 500_011, "https://x.test"),
    ] {
        let mut request = token_request(&azure, client_id, secret, asked);
        request.headers_mut().insert("client-request-id", HeaderValue::from_static("mine"));
        let (answered, refusal) = ask(&azure, Entra, request).await;
        assert_eq!((answered, &refusal["error"]), (status, &json!(error)), "{code}");
        assert_eq!(refusal["error_codes"], json!([code]));
        assert_eq!(refusal["error_uri"], format!("{}/error?code={code}", azure.url(Entra)));
        let field = |name: &str| refusal[name].as_str().unwrap();
        let description = field("error_description");
        assert!(description.starts_with(&format!("AADSTS{code}: ")) && description.contains(text), "{description}");
        let end = format!(" Trace ID: {} Correlation ID: mine Timestamp: {}", field("trace_id"), field("timestamp"));
        assert!(description.ends_with(&end), "{description}");
        assert_eq!(field("correlation_id"), "mine");
        assert!(!description.contains(&right.value), "the secret is shown");
    }
    let mut elsewhere = token_request(&azure, &app.client_id, &right.value, scope);
    *elsewhere.uri_mut() = format!("/{}/oauth2/v2.0/token", guid()).parse().unwrap();
    let (status, refusal) = ask(&azure, Entra, elsewhere).await;
    assert_eq!((status, &refusal["error_codes"]), (400, &json!([90_002])));
    // Asking for one resource without its /.default is the client's mistake, the rest may be a user's.
    let violation = "request 6: a scope that is not one resource's /.default";
    assert_eq!(azure.violations(), [violation]);

    azure.edit_app(&app.client_id, |app| app.secrets.retain(|secret| secret.value == fresh.value));
    assert_eq!(try_secret(&azure, &app, &right.value).await.1["error_codes"], json!([7_000_215]));
    azure.edit_app(&app.client_id, |app| app.secrets[0].refused = false);
    assert_eq!(try_secret(&azure, &app, &fresh.value).await.0, 200);
    azure.remove_app(&app.client_id);
    assert_eq!(try_secret(&azure, &app, &fresh.value).await.1["error_codes"], json!([700_016]));
    let received = format!("{:?}{:?}", azure.received(), azure.asked(Entra));
    assert!(received.contains("client_secret=<redacted>"), "{received}");
    for secret in [right, &fresh, &expired] {
        assert!(!received.contains(&encode(&secret.value)), "{received}");
    }
}

#[tokio::test]
async fn tokens_say_what_was_granted() {
    let azure = Azure::start();
    let app = azure.register("timbr");
    azure.edit_app(&app.client_id, |app| app.grant(["User.Read.All", "Group.Read.All"]));
    let keys = ask(&azure, Entra, get(&format!("/{}/discovery/v2.0/keys", azure.tenant()), "")).await.1;
    let own = format!("api://{}", app.client_id);
    for (resource, version, issuer, audience, caller, means) in [
        (GRAPH, "1.0", format!("https://sts.windows.net/{}/", azure.tenant()), GRAPH, "appid", "appidacr"),
        (VAULT, "1.0", format!("https://sts.windows.net/{}/", azure.tenant()), VAULT, "appid", "appidacr"),
        (&own, "2.0", azure.issuer(azure.tenant()), &*app.client_id, "azp", "azpacr"),
    ] {
        let scope = format!("{resource}/.default");
        let request = token_request(&azure, &app.client_id, &app.secrets[0].value, &scope);
        let (status, answer) = ask(&azure, Entra, request).await;
        assert_eq!((status, &answer["token_type"], &answer["expires_in"]), (200, &json!("Bearer"), &json!(3599)));
        let token = answer["access_token"].as_str().unwrap();
        assert!(verifies(&keys, token));
        let claims = claims(token);
        assert_eq!(
            (&claims["ver"], &claims["iss"], &claims["aud"]),
            (&json!(version), &json!(issuer), &json!(audience))
        );
        assert_eq!((&claims[caller], &claims[means]), (&json!(app.client_id), &json!("1")));
        assert_eq!((&claims["tid"], &claims["idtyp"]), (&json!(azure.tenant()), &json!("app")));
        assert_eq!((&claims["oid"], &claims["sub"]), (&json!(app.principal_id), &json!(app.principal_id)));
        let roles = if resource == GRAPH { json!(["Group.Read.All", "User.Read.All"]) } else { Value::Null };
        assert_eq!(claims["roles"], roles);
        let time = |name: &str| claims[name].as_u64().unwrap();
        assert!(time("iat") == time("nbf") && time("exp") == time("iat") + 300 + 3599, "{claims}");
    }
    // By Basic, as Entra takes it, too.
    let mut basic = form(
        &format!("/{}/oauth2/v2.0/token", azure.tenant()),
        &[("grant_type", "client_credentials"), ("scope", "https://vault.azure.net/.default")],
    );
    let both = BASE64_STANDARD.encode(format!("{}:{}", app.client_id, app.secrets[0].value));
    basic.headers_mut().insert("authorization", format!("Basic {both}").parse().unwrap());
    assert_eq!(ask(&azure, Entra, basic).await.0, 200);
    assert_eq!(azure.violations(), [""; 0]);
}

#[tokio::test]
async fn keys_change_hide_and_go() {
    let azure = Azure::start();
    let app = azure.register("timbr");
    let keys = async || ask(&azure, Entra, get("/common/discovery/v2.0/keys", "")).await.1;
    let (first, old) = (azure.key_id(), azure.token(&app.client_id, VAULT));
    azure.rotate_keys();
    let new = azure.token(&app.client_id, VAULT);
    assert_ne!(first, azure.key_id());
    assert!(verifies(&keys().await, &old) && verifies(&keys().await, &new));

    azure.hide_keys(true);
    azure.publish_keys(vec![json!({"kty": "RSA", "use": "sig", "kid": "broken", "n": "!"})]);
    assert!(!verifies(&keys().await, &new));
    assert_eq!(keys().await["keys"][0]["kid"], "broken");
    azure.hide_keys(false);
    assert!(verifies(&keys().await, &new));

    azure.withdraw_former_keys();
    assert!(!verifies(&keys().await, &old) && verifies(&keys().await, &new));
    let list = format!("/secrets?{API}");
    let (status, refusal) = ask(&azure, Vault, get(&list, &old)).await;
    assert_eq!(status, 401);
    assert!(refusal["error"]["message"].as_str().unwrap().starts_with("AKV10046: "), "{refusal}");
    assert_eq!(ask(&azure, Vault, get(&list, &new)).await.0, 200);

    azure.set_token_lifetime(Duration::ZERO);
    let ended = azure.token(&app.client_id, VAULT);
    assert_eq!(ask(&azure, Vault, get(&list, &ended)).await.0, 401);
    let ended = azure.token(&app.client_id, GRAPH);
    let (status, refusal) = ask(&azure, Graph, get("/v1.0/groups", &ended)).await;
    assert_eq!((status, &refusal["error"]["code"]), (401, &json!("InvalidAuthenticationToken")));
    assert_eq!(refusal["error"]["message"], "Lifetime validation failed, the token is expired.");
    // What a key or the time has made bad, nobody is to blame for.
    assert_eq!(azure.violations(), [""; 0]);
    assert!(verifies(&keys().await, &azure.sign(&json!({"any": "claim"}))));
}
