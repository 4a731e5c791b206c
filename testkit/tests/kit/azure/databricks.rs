//! A workspace's addresses and tokens.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use testkit::Azure;
use testkit::azure::Service::Databricks;

use super::{ask, form, get, send};

#[tokio::test]
async fn databricks_gives_a_token_for_its_secret() {
    let azure = Azure::start();
    azure.set_databricks_client("client", "s3cret");
    let url = azure.url(Databricks);
    assert_eq!(send(&azure, Databricks, get("/", "")).await.unwrap().status().as_u16(), 200);
    let (_, config) = ask(&azure, Databricks, get("/.well-known/databricks-config", "")).await;
    assert_eq!(config["oidc_endpoint"], format!("{url}/oidc"));
    let (_, server) = ask(&azure, Databricks, get("/oidc/.well-known/oauth-authorization-server", "")).await;
    assert_eq!(server["token_endpoint"], format!("{url}/oidc/v1/token"));
    for (id, secret, status) in [("client", "s3cret", 200), ("client", "other", 401), ("other", "s3cret", 401)] {
        let grant = [("grant_type", "client_credentials"), ("scope", "all-apis")];
        let mut basic = form("/oidc/v1/token", &grant);
        let both = BASE64_STANDARD.encode(format!("{id}:{secret}"));
        basic.headers_mut().insert("authorization", format!("Basic {both}").parse().unwrap());
        let posted = form("/oidc/v1/token", &[grant[0], grant[1], ("client_id", id), ("client_secret", secret)]);
        for request in [basic, posted] {
            let (answered, answer) = ask(&azure, Databricks, request).await;
            assert_eq!(answered, status, "{id} {secret}");
            let expected = if status == 200 { Value::Null } else { json!("invalid_client") };
            assert_eq!((&answer["error"], answer["access_token"].is_string()), (&expected, status == 200));
        }
    }
    assert_eq!(azure.violations(), [""; 0]);
}
