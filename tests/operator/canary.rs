//! No secret in any output, in any encoding.

use std::{collections::BTreeMap, path::Path};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use testkit::{TimbrApi, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, azure_sso_with, deployment, entra, installation, platform, secret},
    harness::{Lab, SOON, condition, get},
    provider::Provider,
};

/// What no output may hold: with what JSON and URLs escape, and a core that survives any escaping.
fn canaries() -> BTreeMap<&'static str, String> {
    ["Delivered", "Rotated", "Refused", "JwtKey", "AsClientId", "PlainByHand", "Unpermitted", "NotAReference"]
        .into_iter()
        .map(|name| (name, format!("k4n4r1e{name}\"+&%<ß> \\end{name}k4n4r1e")))
        .collect()
}

/// A value raw, JSON- and URL-encoded, and its base64 wherever it begins among other bytes.
fn encodings(value: &str) -> Vec<String> {
    let mut encodings = vec![value.to_owned()];
    let json = json!(value).to_string();
    encodings.push(json.trim_matches('"').to_owned());
    encodings.push(
        value
            .bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect(),
    );
    for before in 0..3 {
        let padded: Vec<u8> = std::iter::repeat_n(b'x', before).chain(value.bytes()).collect();
        let encoded = STANDARD.encode(padded);
        // The characters at both ends depend on the neighbours.
        encodings.push(encoded[4..encoded.len() - 4].to_owned());
    }
    encodings
}

fn assert_clean(where_: &str, output: &[u8]) {
    let text = String::from_utf8_lossy(output);
    assert!(!text.contains("PRIVATE KEY"), "{where_} holds a private key: {}", around(&text, "PRIVATE KEY"));
    assert!(!text.contains("k4n4r1e"), "{where_} holds a piece of a secret: {}", around(&text, "k4n4r1e"));
    for (name, canary) in canaries() {
        for encoded in encodings(&canary) {
            assert!(!text.contains(&encoded), "{where_} holds {name}: {}", around(&text, &encoded));
        }
    }
}

fn around(text: &str, found: &str) -> String {
    let at = text.find(found).unwrap_or_default();
    text.char_indices().filter(|(i, _)| *i + 200 > at && *i < at + 200).map(|(_, c)| c).collect()
}

/// Everything of a namespace in etcd but Secrets, keys and values.
async fn etcd_minus_secrets(url: &str, namespace: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let mut from = vec![0_u8];
    loop {
        let ask =
            json!({"key": STANDARD.encode(&from), "range_end": STANDARD.encode([0_u8]), "limit": "500"}).to_string();
        let host = url.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(host).await.expect("etcd answers");
        let request =
            format!("POST /v3/kv/range HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{ask}", ask.len());
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a body") + 4;
        let answer: Value = serde_json::from_slice(&answer[body..]).expect("JSON");
        let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).expect("base64");
        for pair in answer["kvs"].as_array().into_iter().flatten() {
            let key = bytes(&pair["key"]);
            from = [key.as_slice(), b"\0"].concat();
            let here = String::from_utf8_lossy(&key).contains(namespace);
            if here && !key.starts_with(b"/registry/secrets/") {
                all.extend(key);
                all.extend(bytes(&pair["value"]));
            }
        }
        if answer["more"] != true {
            return all;
        }
    }
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let canary = &canaries()["Delivered"];
    for before in ["", "a", "ab"] {
        let hidden = STANDARD.encode(format!("{before}{canary}zz"));
        assert!(encodings(canary).iter().any(|encoded| hidden.contains(encoded.as_str())), "{hidden}");
    }
    assert!(
        std::panic::catch_unwind(|| assert_clean("here", json!({"a": canaries()["Rotated"]}).to_string().as_bytes()))
            .is_err()
    );
}

#[tokio::test]
async fn no_secret_in_any_output() {
    let lab = Lab::new("canary").await;
    let canaries = canaries();
    let canary = |name: &str| canaries[name].as_str();
    let provider = Provider::new(canary("Delivered"));
    provider.accepts(&[canary("Delivered"), canary("Rotated")]);
    let timbr = TimbrApi::start();
    for format in ["json", "text"] {
        let all = "azuresso,rolegroupsync,jwtauthentication,timbrinstallation,deployment,secret";
        lab.kubectl(&["delete", all, "--all"]).await;
        lab.replace(&platform()).await;
        let flags = [format!("--log-format={format}"), "--log-level=trace".to_owned()];
        let log = lab.plane.dir().join(format!("canary-{format}.log"));
        let health = testkit::ports::free_port();
        let metrics = testkit::ports::free_port();
        let operator = testkit::Process::builder(env!("CARGO_BIN_EXE_timbr-identity"), log)
            .args([
                "operator",
                "--debounce=100ms",
                "--webhook-bind=127.0.0.1:0",
                "--webhook-linger=0s",
                &format!("--webhook-configuration={0}", lab.namespace),
                &format!("--watch-namespaces={0}", lab.namespace),
                &format!("--namespace={0}", lab.namespace),
            ])
            .args(flags)
            .args(provider.flags())
            .arg("--allowed-sql-hosts=127.0.0.1")
            .arg(format!("--health-bind=127.0.0.1:{health}"))
            .arg(format!("--metrics-bind=127.0.0.1:{metrics}"))
            .env("KUBECONFIG", &lab.account.kubeconfig)
            .start()
            .expect("it starts");

        // Delivered, rotated, refused, in conflict, deleted: each way a secret can go.
        lab.apply(&entra(canary("Delivered"))).await;
        lab.apply(&provider.sso(json!({}))).await;
        lab.wait(SSO, "Ready").await;
        lab.apply(&entra(canary("Rotated"))).await;
        eventually("the rotation is delivered", SOON, async || {
            lab.get(SSO).await["status"]["delivered"][0]["generation"] == 3
        })
        .await;
        lab.apply(&entra(canary("Refused"))).await;
        lab.wait_condition(SSO, "Verified", "False", "CheckFailed").await;
        lab.apply(&secret("app", "id", canary("AsClientId"))).await;
        let mut swapped = provider.sso(json!({"clientIdRef": {"name": "app", "key": "id"}}));
        swapped["spec"].as_object_mut().expect("spec").remove("clientId");
        lab.apply(&swapped).await;
        lab.wait_condition(SSO, "ReferencesResolved", "False", "SecretValueInvalid").await;
        let mut unpermitted = secret("app", "id", canary("Unpermitted"));
        unpermitted["type"] = json!("example.com/other");
        lab.replace(&unpermitted).await;
        lab.wait_condition(SSO, "ReferencesResolved", "False", "SecretNotPermitted").await;
        lab.apply(&entra(canary("Rotated"))).await;
        lab.apply(&provider.sso(json!({}))).await;
        lab.wait_condition(SSO, "Ready", "True", "Ready").await;

        // A key that Timbr refuses, and one of tokens.
        let of = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        let sql = json!({"url": timbr.url(), "tokenSecretRef": {"name": "timbr-api-key", "key": "key"}});
        let mapping = json!({"role": "editor", "group": {"name": "Editors"}});
        let jwt = json!({"type": "Custom", "algorithms": ["HS256"], "keyRef": {"name": "jwt", "key": "key"}});
        lab.apply_all(&[
            deployment("timbr-server", &["timbr"]),
            deployment("timbr-api", &["timbr-api"]),
            secret("timbr-api-key", "key", "tk_k4n4r1eApiKeyk4n4r1e"),
            secret("jwt", "key", canary("JwtKey")),
            installation("main", json!({"sql": sql})),
            of("RoleGroupSync", "groups", json!({"credentialsFrom": {"azureSso": "sso"}, "mappings": [mapping]})),
            of("JwtAuthentication", "jwt", jwt),
        ])
        .await;
        lab.wait_condition("jwtauthentication/jwt", "Delivered", "True", "Delivered").await;
        lab.wait_condition("rolegroupsync/groups", "Verified", "False", "CheckFailed").await;
        let groups = lab.get("rolegroupsync/groups").await["status"]["checks"].to_string();
        assert!(groups.contains("ApiKeyRefused"), "{groups}");

        for (what, url) in [
            ("metrics", format!("http://127.0.0.1:{metrics}/metrics")),
            ("readyz", format!("http://127.0.0.1:{health}/readyz?verbose")),
        ] {
            let (status, body) = get(&url).await.expect("an answer");
            assert_eq!(status, 200);
            assert_clean(what, body.as_bytes());
        }
        lab.kubectl(&["delete", SSO]).await;
        eventually("it is released", SOON, async || {
            crate::fixtures::variable(&lab.get(PLATFORM).await, "OAUTH_SECRET").is_null()
        })
        .await;
        let status = operator.stop(testkit::Signal::TERM, SOON).await;
        assert!(status.success());
        let log = operator.stderr();
        assert!(log.contains("TRACE"), "the log is at trace");
        assert_clean(&format!("the {format} log"), log.as_bytes());
        assert!(!log.contains("eyJ"), "the {format} log holds a token: {}", around(&log, "eyJ"));
    }
    let events = lab.kubectl(&["get", "events", "-o", "json"]).await;
    assert!(events.contains("SecretNotPermitted"));
    assert_clean("events", events.as_bytes());
    // kubectl's own annotation on Secrets is in the Secrets, nothing else of them is anywhere.
    let stored = etcd_minus_secrets(&lab.plane.etcd_url(), &lab.namespace).await;
    assert!(String::from_utf8_lossy(&stored).contains("SecretNotPermitted"), "etcd was read, Events and all");
    assert_clean("etcd", &stored);
}

#[tokio::test]
async fn a_secret_of_somebody_elses_in_the_clear_is_not_repeated() {
    let lab = Lab::new("canary-hand").await;
    let canaries = canaries();
    let mut by_hand = platform();
    by_hand["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "OAUTH_SECRET", "value": canaries["PlainByHand"]}]);
    lab.apply(&by_hand).await;
    lab.apply(&entra("s3cr3t")).await;
    lab.apply(&azure_sso("sso")).await;
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &["--log-level=trace"]).await;
    lab.wait_condition(SSO, "Delivered", "False", "Conflict").await;
    let object = lab.get(SSO).await;
    assert_eq!(condition(&object, "Stalled")["reason"], "Conflict");
    assert_clean("the status", object.to_string().as_bytes());
    operator.stop().await;
    assert_clean("the log", operator.process.stderr().as_bytes());
    assert_clean("events", lab.kubectl(&["get", "events", "-o", "json"]).await.as_bytes());
}

#[test]
fn no_secret_on_the_output_of_any_subcommand() {
    let canaries = canaries();
    let dir = testkit::Scratch::new("canary-").expect("a folder");
    let mut by_hand = platform();
    by_hand["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "OAUTH_SECRET", "value": canaries["PlainByHand"]}]);
    let mut swapped = azure_sso_with("swapped", json!({"clientIdRef": {"name": "app", "key": "id"}}));
    swapped["spec"].as_object_mut().expect("spec").remove("clientId");
    let mut not_a_reference = azure_sso("wrong");
    not_a_reference["spec"]["clientSecretRef"] = json!(canaries["NotAReference"]);
    let write = |name: &str, objects: &[&Value]| {
        let path = dir.path().join(name);
        let text: Vec<String> = objects.iter().map(ToString::to_string).collect();
        std::fs::write(&path, text.join("\n---\n")).expect("written");
        path
    };
    let (good, id) = (entra(&canaries["Delivered"]), secret("app", "id", &canaries["AsClientId"]));
    let files = [
        write("good.yaml", &[&platform(), &good, &azure_sso("sso")]),
        write("swapped.yaml", &[&good, &id, &swapped]),
        write("by-hand.yaml", &[&by_hand, &good, &azure_sso("sso")]),
        write("wrong.yaml", &[&good, &not_a_reference]),
    ];
    let run = |args: &[&str], file: Option<&Path>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_timbr-identity"));
        command.args(args);
        if let Some(file) = file {
            command.arg("-f").arg(file);
        }
        let output = command.output().expect("it runs");
        assert!(output.stdout.len() + output.stderr.len() > 0 || args[0] == "validate", "{args:?} says something");
        assert_clean(&format!("{args:?} {file:?}"), &output.stdout);
        assert_clean(&format!("{args:?} {file:?} (stderr)"), &output.stderr);
    };
    for args in [
        &["crds"][..],
        &["--help"],
        &["operator", "--help"],
        &["render", "--help"],
        &["validate", "--help"],
        &["explain", "--help"],
        &["access", "--help"],
    ] {
        run(args, None);
    }
    // Nothing of a token is repeated but what is asked for: neither other claims nor the signature.
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"iss": "https://tokens.example.com", "aud": "timbr", "private": canaries["Delivered"]});
    let token = format!("{}.{}.{}", part(json!({"alg": "RS256"})), part(claims), canaries["Rotated"]);
    let token_file = dir.path().join("token").display().to_string();
    std::fs::write(&token_file, &token).expect("written");
    for file in &files {
        for args in [
            &["render"][..],
            &["render", "--diff"],
            &["render", "-o", "env"],
            &["render", "-o", "compose"],
            &["validate"],
            &["validate", "-o", "json"],
            &["explain", "--to", "api", "--from", "app=orders"],
            &["explain", "--to", "api", "--token", &token_file],
            &["explain", "--to", "api", "--token", &token_file, "-o", "json"],
            &["explain", "--to", "api", "--token", &token],
            &["explain", "--to", "api", "--token", &canaries["Rotated"]],
            &["access", "--to", "api"],
            &["access", "--to", "api", "-o", "json"],
        ] {
            run(args, Some(file));
        }
    }
}
