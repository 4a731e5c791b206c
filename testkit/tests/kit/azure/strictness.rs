//! What no client should send is refused and kept.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Method, Request, Version};
use testkit::azure::Service::{Databricks, Entra, Graph, Vault};

use super::{API, form, furnished, get, request, send, token_request};

#[tokio::test]
async fn what_no_client_should_send_is_refused_and_kept() {
    let (azure, app, graph, vault) = furnished();
    let (tenant, secret) = (azure.tenant(), &*app.secrets[0].value);
    let sound = || token_request(&azure, &app.client_id, secret, "https://graph.microsoft.com/.default");
    let parameters = |parameters: &[(&str, &str)]| form(&format!("/{tenant}/oauth2/v2.0/token"), parameters);
    let edited = |edit: &dyn Fn(&mut Request<String>)| {
        let mut request = sound();
        edit(&mut request);
        request
    };
    let put = |body: &str| {
        let mut request = request(Method::PUT, &format!("/secrets/x?{API}"), &vault);
        body.clone_into(request.body_mut());
        request
    };
    let authorized = |path: &str, authorization: &str| {
        let mut request = get(path, "");
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        request
    };
    let (head, _) = graph.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", vault.rsplit_once('.').unwrap().1);
    let basic = |both: &str| format!("Basic {}", BASE64_STANDARD.encode(both));
    let id = ("client_id", &*app.client_id);
    let grant = ("grant_type", "client_credentials");
    let scope = ("scope", "https://graph.microsoft.com/.default");
    let groups = "/v1.0/groups";
    let select = "Parsing OData Select and Expand failed: Could not find a property named 'name'. Type: \
                  'microsoft.graph.group'.";
    let cases = [
        (Entra, 400, "HTTP/1.0 is not HTTP/1.1", edited(&|r| *r.version_mut() = Version::HTTP_10)),
        (Entra, 404, "no such path: /x/oauth2/token", get("/x/oauth2/token", "")),
        (Entra, 405, "POST of what is only read", request(Method::POST, "/common/discovery/v2.0/keys", "")),
        (Entra, 400, "GET of a token, which is a POST", edited(&|r| *r.method_mut() = Method::GET)),
        (
            Entra,
            400,
            "Content-Type \"text/plain\", not application/x-www-form-urlencoded",
            edited(&|r| {
                r.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
            }),
        ),
        (
            Entra,
            400,
            "a query of a token request",
            edited(&|r| {
                *r.uri_mut() = format!("/{tenant}/oauth2/v2.0/token?client_secret=hush").parse().unwrap();
            }),
        ),
        (Entra, 400, "client_secret twice", edited(&|r| r.body_mut().push_str("&client_secret=x"))),
        (
            Entra,
            400,
            "client_secret: not percent-encoded",
            edited(&|r| *r.body_mut() = "client_secret=100%".to_owned()),
        ),
        (Entra, 400, "a parameter without a value", edited(&|r| r.body_mut().push_str("&x"))),
        (Entra, 400, "the parameter \"resource\"", edited(&|r| r.body_mut().push_str("&resource=x"))),
        (
            Entra,
            400,
            "client_secret in the form and by Basic",
            edited(&|r| {
                r.headers_mut().insert("authorization", basic(&format!("{}:x", app.client_id)).parse().unwrap());
            }),
        ),
        (
            Entra,
            400,
            "Authorization that is no Basic",
            edited(&|r| {
                r.headers_mut().insert("authorization", HeaderValue::from_static("Basic !"));
            }),
        ),
        (Entra, 400, "no grant_type", parameters(&[id, scope, ("client_secret", secret)])),
        (Entra, 400, "another grant_type", parameters(&[("grant_type", "password"), id, scope])),
        (Entra, 400, "no client_id", parameters(&[grant, scope, ("client_secret", secret)])),
        (Entra, 400, "no scope", parameters(&[grant, id, ("client_secret", secret)])),
        (Entra, 401, "no client_secret", parameters(&[grant, id, scope])),
        (
            Entra,
            400,
            "a token request without a tenant",
            edited(&|r| {
                *r.uri_mut() = "/common/oauth2/v2.0/token".parse().unwrap();
            }),
        ),
        (Graph, 401, "no token", get(groups, "")),
        (Graph, 401, "Authorization Basic, which is no Bearer and a token", authorized(groups, "Basic eDp5")),
        (Graph, 401, "a token that is no RS256 JWT", get(groups, "x.y.z")),
        (Graph, 401, "a token whose signature is wrong", get(groups, &forged)),
        (Graph, 401, "a token for \"https://vault.azure.net\"", get(groups, &vault)),
        (Graph, 404, "no such path: /beta/groups", get("/beta/groups", &graph)),
        (Graph, 404, "no such path: /v1.0/me", get("/v1.0/me", &graph)),
        (Graph, 405, "DELETE of what is only read", request(Method::DELETE, groups, &graph)),
        (Graph, 400, "The query parameter '$expand' is not known here.", get("/v1.0/groups?$expand=members", &graph)),
        (
            Graph,
            400,
            "Invalid filter clause: 'O'X' is no string in single quotes, with those in it doubled.",
            get("/v1.0/groups?$filter=displayName%20eq%20'O'X'", &graph),
        ),
        (
            Graph,
            400,
            "Unsupported or invalid query filter clause specified for property 'description'.",
            get("/v1.0/groups?$filter=description%20eq%20'x'", &graph),
        ),
        (Graph, 400, select, get("/v1.0/groups?$select=id,name", &graph)),
        (
            Graph,
            400,
            "Invalid page size specified: '0'. Must be between 1 and 999 inclusive.",
            get("/v1.0/groups?$top=0", &graph),
        ),
        (Graph, 400, "the key of \"applications(x)\" is not property='value'", get("/v1.0/applications(x)", &graph)),
        (Graph, 400, "$filter: percent-encoded bytes that are not UTF-8", get("/v1.0/groups?$filter=%ff", &graph)),
        (Vault, 404, "no such path: /keys", get("/keys", &vault)),
        (Vault, 405, "POST of /secrets/x", request(Method::POST, "/secrets/x", &vault)),
        (Vault, 401, "a token for \"https://graph.microsoft.com\"", get("/secrets", &graph)),
        (Vault, 401, "Authorization Basic, which is no Bearer and a token", authorized("/secrets", "Basic eDp5")),
        (Vault, 400, "api-version must be specified", get("/secrets", &vault)),
        (Vault, 400, "the parameter \"maxresults\"", get(&format!("/secrets/x?{API}&maxresults=1"), &vault)),
        (
            Vault,
            400,
            "Invalid maxresults \"26\": it is a number from 1 to 25",
            get(&format!("/secrets?{API}&maxresults=26"), &vault),
        ),
        (Vault, 400, "a body that is no JSON", put("hush")),
        (Vault, 400, "no value", put("{}")),
        (Vault, 400, "a property that a secret does not have", put(r#"{"value": "x", "name": "x"}"#)),
        (Databricks, 404, "no such path: /api/2.0/clusters/list", get("/api/2.0/clusters/list", "")),
        (Databricks, 405, "GET of /oidc/v1/token", get("/oidc/v1/token", "")),
        (Databricks, 400, "another grant_type than client_credentials", form("/oidc/v1/token", &[("grant_type", "x")])),
        (Databricks, 400, "another scope than all-apis", form("/oidc/v1/token", &[grant, ("scope", "sql")])),
    ];
    for (number, (service, status, text, request)) in cases.into_iter().enumerate() {
        let answer = send(&azure, service, request).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{text}: {}", answer.body());
        let violations = azure.violations();
        assert_eq!(violations.last().map(String::as_str), Some(&*format!("request {}: {text}", number + 1)));
        assert_eq!(violations.len(), number + 1);
        assert_eq!(azure.received()[number].status, Some(status));
    }
    let shown = format!("{azure:?}{:?}{:?}", azure.received(), azure.violations());
    for secret in [secret, "hush", &graph, &vault] {
        assert!(!shown.contains(secret), "a credential is shown");
    }
    assert!(azure.vault().secrets.is_empty());
}
