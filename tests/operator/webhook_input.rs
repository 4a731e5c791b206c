//! What no API server sends to the webhook has a clear answer too: never a 500, never silence, and nobody is let in by
//! accident.

use serde_json::{Value, json};
use testkit::tls;
use timbr_identity::verify::{Guard, Http, Limits, NamedBy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{bad_input, harness::SOON, shop::Stage};

/// The webhook of a stage, and somebody who trusts it.
struct Caller {
    stage: Stage,
    authority: String,
    http: Http,
}

impl Caller {
    async fn new() -> Self {
        let stage = Stage::new("Fail").await;
        let authority = stage.lab.of_key("timbr-identity-webhook", "ca.crt").await;
        let guard = Guard { allowed: vec!["127.0.0.0/8".parse().expect("a network")], ..Guard::default() };
        let limits = Limits { connect: SOON, whole: SOON };
        let http = Http::new(guard, authority.as_bytes(), limits).expect("there is TLS");
        Self { stage, authority, http }
    }

    /// Sends a body; status and text of the answer.
    async fn post(&self, path: &str, content: &str, body: impl Into<String>) -> (u16, String) {
        let url = format!("https://{}{path}", self.stage.operators[0].webhook_address());
        let request = self.http.request(http::Method::POST, url.parse().expect("a URL"), NamedBy::Operator);
        let request = request.expect("a request").header("content-type", content).body(body.into());
        let answer = self.http.send(request).await.expect("an answer");
        (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Sends a review; whether it is allowed, and the code and the message.
    async fn review(&self, path: &str, review: &Value) -> (bool, u64, String) {
        let (status, text) = self.post(path, "application/json", review.to_string()).await;
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        let response = &answer["response"];
        assert_eq!(response["uid"], review["request"]["uid"]);
        let status = &response["status"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            response["allowed"].as_bool().expect("allowed"),
            status["code"].as_u64().unwrap_or_default(),
            text(&status["message"]),
        )
    }
}

fn review(group: &str, kind: &str, operation: &str, object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": "x"},
            "name": "orders", "namespace": "shop", "operation": operation,
            "userInfo": {"username": "ann"}, "object": object, "oldObject": null, "dryRun": false,
        },
    })
}

/// A Deployment's labels on its pods, and whatever else.
fn uses(labels: Value, of: &str) -> Value {
    let mut labels = labels;
    labels["consumes.identity.timbr.ai/api"] = json!(of);
    json!({"metadata": {"name": "orders"}, "spec": {"template": {"metadata": {"labels": labels}}}})
}

#[tokio::test]
async fn what_is_no_review_is_told_so() {
    let caller = Caller::new().await;
    let old = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": null});
    let empty = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"});
    let mut unknown = review("apps", "Deployment", "CREATE", json!({}));
    unknown["request"]["operation"] = json!("PATCH");
    let mut nobody = review("apps", "Deployment", "CREATE", json!({}));
    nobody["request"].as_object_mut().expect("an object").remove("userInfo");
    const JSON: &str = "application/json";
    let rows = [
        ("empty", JSON, String::new(), 400, "the body is no AdmissionReview"),
        ("no JSON", JSON, "kind: AdmissionReview".to_owned(), 400, "the body is no AdmissionReview"),
        ("half of it", JSON, empty.to_string()[..30].to_owned(), 400, "the body is no AdmissionReview"),
        ("a list", JSON, "[]".to_owned(), 400, "the body is no AdmissionReview"),
        ("an old version", JSON, old.to_string(), 400, "no AdmissionReview of admission.k8s.io/v1"),
        ("no request", JSON, empty.to_string(), 400, "the AdmissionReview has no request"),
        ("an unknown operation", JSON, unknown.to_string(), 400, "the body is no AdmissionReview"),
        ("nobody's", JSON, nobody.to_string(), 400, "the body is no AdmissionReview: missing field `userInfo`"),
        ("YAML", "application/yaml", empty.to_string(), 415, "send an AdmissionReview as application/json"),
        ("nothing said", "", empty.to_string(), 415, "send an AdmissionReview as application/json"),
        ("9 MiB", JSON, " ".repeat(9 << 20), 413, "larger than any review"),
    ];
    for path in ["/consumers", "/resources"] {
        for (what, content, body, status, sentence) in &rows {
            let (answered, text) = caller.post(path, content, body.clone()).await;
            assert_eq!(answered, *status, "{path}, {what}: {text}");
            assert!(text.contains(sentence), "{path}, {what}: {text}");
        }
    }
    assert_eq!(caller.post("/elsewhere", JSON, "{}").await.0, 404);
}

#[tokio::test]
async fn odd_objects_are_judged_as_what_they_are() {
    let caller = Caller::new().await;
    let timbr = caller.stage.lab.namespace.clone();
    caller.stage.apply(&caller.stage.policy(json!([]))).await;
    let deployment = |operation: &str, object: Value| review("apps", "Deployment", operation, object);
    let named = json!({"app.kubernetes.io/name": "orders"});
    let mut generated = uses(named.clone(), &timbr);
    generated["metadata"] = json!({"generateName": "orders-"});
    let mut large = uses(named.clone(), &timbr);
    large["metadata"]["annotations"] = json!({"x": "x".repeat(3 << 20)});
    let refused = |title: &str| format!("{title} may not use Api of the Timbr in namespace {timbr}: ");
    let rows = [
        ("nothing of ours", deployment("CREATE", json!({"metadata": {}, "spec": {}})), true, 0, String::new()),
        ("null metadata", deployment("CREATE", json!({"metadata": null, "spec": null})), true, 0, String::new()),
        (
            "null labels",
            deployment("CREATE", json!({"spec": {"template": {"metadata": {"labels": null}}}})),
            true,
            0,
            String::new(),
        ),
        ("nothing at all", deployment("CREATE", json!({})), true, 0, String::new()),
        ("no object", deployment("CREATE", Value::Null), false, 400, "the AdmissionReview has no object".to_owned()),
        ("no object", deployment("UPDATE", Value::Null), false, 400, "the AdmissionReview has no object".to_owned()),
        ("deleted", deployment("DELETE", Value::Null), true, 0, String::new()),
        ("connected to", review("", "Pod", "CONNECT", Value::Null), true, 0, String::new()),
        ("a text", deployment("CREATE", json!("x")), false, 400, "the Deployment cannot be read: ".to_owned()),
        (
            "labels in a list",
            deployment("CREATE", json!({"spec": {"template": {"metadata": {"labels": ["x"]}}}})),
            false,
            400,
            "the Deployment cannot be read: ".to_owned(),
        ),
        ("no kind with pods", review("", "Service", "CREATE", json!({})), false, 400, "Service has no pods".to_owned()),
        (
            "a kind of others",
            review("example.com", "Deployment", "CREATE", json!({})),
            false,
            400,
            "Deployment has no pods".to_owned(),
        ),
        ("no name", deployment("CREATE", uses(json!({}), &timbr)), false, 403, refused("Deployment shop/orders")),
        (
            "an empty name",
            deployment("CREATE", uses(json!({"app": ""}), &timbr)),
            false,
            403,
            refused("Deployment shop/orders"),
        ),
        ("to be named", deployment("CREATE", generated), false, 403, refused("Deployment shop/orders-…")),
        ("3 MiB", deployment("CREATE", large), false, 403, refused("Deployment shop/orders")),
        (
            "new to an old one",
            deployment("UPDATE", uses(named.clone(), &timbr)),
            false,
            403,
            refused("Deployment shop/orders"),
        ),
        ("of a Timbr that nobody knows", deployment("CREATE", uses(named, "elsewhere")), true, 0, String::new()),
    ];
    for (what, review, allowed, code, message) in rows {
        let (is_allowed, answered, said) = caller.review("/consumers", &review).await;
        assert_eq!((is_allowed, answered), (allowed, code), "{what}: {said}");
        assert!(said.starts_with(&message), "{what}: {said}");
    }
    let ours = |kind: &str, operation: &str, object: Value| review("identity.timbr.ai", kind, operation, object);
    let rows = [
        (
            "another group's",
            review("example.com", "AzureSso", "CREATE", json!({})),
            false,
            400,
            "AzureSso is no kind of ",
        ),
        ("no kind", ours("AzureSsos", "CREATE", json!({})), false, 400, "AzureSsos is no kind of "),
        ("no object", ours("AzureSso", "CREATE", Value::Null), false, 400, "the AdmissionReview has no object"),
        (
            "a text",
            ours("AzureSso", "CREATE", json!("x")),
            false,
            400,
            "the AzureSso in the AdmissionReview is no object",
        ),
        ("nothing in it", ours("AzureSso", "CREATE", json!({})), false, 422, "AzureSso shop/orders is not valid:"),
        ("deleted", ours("AzureSso", "DELETE", Value::Null), true, 0, ""),
    ];
    for (what, review, allowed, code, message) in rows {
        let (is_allowed, answered, said) = caller.review("/resources", &review).await;
        assert_eq!((is_allowed, answered), (allowed, code), "{what}: {said}");
        assert!(said.starts_with(message), "{what}: {said}");
    }
}

/// What `validate` refuses, with the same field and code; and nothing that it does not.
#[tokio::test]
async fn the_webhook_refuses_what_validate_refuses() {
    let caller = Caller::new().await;
    let by_admin = |object: Value| {
        let mut review =
            review("identity.timbr.ai", object["kind"].as_str().unwrap_or_default(), "CREATE", object.clone());
        review["request"]["userInfo"] = json!({"username": "root", "groups": ["system:masters"]});
        review["request"]["namespace"] = json!(caller.stage.lab.namespace);
        review
    };
    let cases = bad_input::cases();
    for case in &cases {
        let (allowed, code, said) = caller.review("/resources", &by_admin(case.object.clone())).await;
        // An unknown kind of field is refused as unknown even where others are wrong.
        assert_eq!((allowed, code), (false, 422), "{}: {said}", case.name);
        assert!(said.contains(&format!("\n  {}: {}: ", case.path, case.code)), "{}: {said}", case.name);
    }
    for object in bad_input::valid() {
        let (allowed, _, said) = caller.review("/resources", &by_admin(object.clone())).await;
        assert!(allowed, "{}: {said}", object["kind"]);
    }
    println!("{} cases", cases.len());
}

#[tokio::test]
async fn half_a_request_ends_and_plain_http_is_answered() {
    let caller = Caller::new().await;
    let address = caller.stage.operators[0].webhook_address();
    let ended = async |mut stream: tokio_stream::Boxed| {
        let mut text = Vec::new();
        let read = tokio::time::timeout(SOON, stream.read_to_end(&mut text)).await.expect("it ends");
        // However the other side ends it.
        let _ = read;
        String::from_utf8_lossy(&text).into_owned()
    };
    let mut plain = tokio::net::TcpStream::connect(address).await.expect("a connection");
    plain.write_all(b"POST /consumers HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let text = ended(Box::pin(plain)).await;
    assert!(text.starts_with("HTTP/1.0 400 Bad Request\r\n") && text.contains("this port speaks HTTPS"), "{text}");

    let silent = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let mut head = tls::connect(address, &caller.authority).await;
    head.write_all(b"POST /consumers HTTP/1.1\r\nHost:").await.expect("sent");
    let mut body = tls::connect(address, &caller.authority).await;
    let half = b"POST /consumers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    body.write_all(half).await.expect("sent");
    let (silent, head, body) = tokio::join!(ended(Box::pin(silent)), ended(Box::pin(head)), ended(Box::pin(body)));
    assert_eq!(silent, "");
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    assert!(body.starts_with("HTTP/1.1 408") && body.contains("did not arrive within 10 seconds"), "{body}");
}

/// A stream of either kind.
mod tokio_stream {
    use std::pin::Pin;

    use tokio::io::AsyncRead;

    pub type Boxed = Pin<Box<dyn AsyncRead>>;
}
