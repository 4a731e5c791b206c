//! What `explain` answers, and what it says of tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    bad_input::azure_sso,
    run::{Run, folder, run, run_in, stream},
};

const DIRECTORY: &str = "11111111-0000-4000-8000-00000000000a";
const OTHER: &str = "22222222-0000-4000-8000-00000000000b";
const CLIENT: &str = "33333333-0000-4000-8000-00000000000c";
const GROUP: &str = "44444444-0000-4000-8000-00000000000d";
const API: &str = "55555555-0000-4000-8000-00000000000e";
/// What no output may hold: the third part of every token, and a claim that nobody asks for.
const SIGNATURE: &str = "c2lnbmF0dXJl";
const UNASKED: &str = "unasked-claim";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "timbr"}, "spec": spec})
}

fn merged(mut fields: Value, more: Value) -> Value {
    let all = fields.as_object_mut().expect("an object");
    for (key, value) in more.as_object().expect("an object") {
        // A null is a field that is not there.
        if value.is_null() {
            all.remove(key)
        } else {
            all.insert(key.clone(), value.clone())
        };
    }
    fields
}

fn policy(spec: Value) -> Value {
    object("InboundAccessPolicy", "api", merged(json!({"target": "Api"}), spec))
}

/// Single sign-on with the directory.
fn sign_on() -> Value {
    let mut sso = azure_sso();
    sso["metadata"]["namespace"] = json!("timbr");
    sso["spec"]["tenantId"] = json!(DIRECTORY);
    sso
}

fn v2(directory: &str) -> String {
    format!("https://login.microsoftonline.com/{directory}/v2.0")
}

fn v1(directory: &str) -> String {
    format!("https://sts.windows.net/{directory}/")
}

/// Tokens of Entra, as they ought to be.
fn azure(more: Value) -> Value {
    let spec = json!({"type": "Azure", "audience": API, "issuer": v2(DIRECTORY), "userClaim": "preferred_username"});
    object("JwtAuthentication", "jwt", merged(spec, more))
}

/// Tokens of anybody else.
fn custom(more: Value) -> Value {
    let key = json!({"name": "keys", "key": "default.pem"});
    let spec = json!({"type": "Custom", "audience": "timbr", "issuer": "https://tokens.example.com", "userClaim": "email", "keyRef": key});
    object("JwtAuthentication", "jwt", merged(spec, more))
}

fn provider(more: Value) -> Value {
    let spec = json!({"displayName": "Own", "audiences": ["timbr"], "userClaim": "email", "issuerUrl": "https://tokens.example.com"});
    object("ExternalTokenProvider", "own", merged(spec, more))
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()).expect("not that late")
}

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn jwt(header: &Value, claims: &Value) -> String {
    format!("{}.{}.{SIGNATURE}", part(header), part(claims))
}

/// A token of a user of the directory, in the group.
fn claims(more: Value) -> Value {
    let now = now();
    let all = json!({
        "iss": v2(DIRECTORY), "aud": API, "sub": "s1", "azp": CLIENT, "scp": "use", "groups": [GROUP],
        "preferred_username": "ann@example.com", "exp": now + 3600, "nbf": now - 60, "iat": now - 60, "private": UNASKED,
    });
    merged(all, more)
}

/// A token of somebody else's.
fn others(more: Value) -> Value {
    let all = json!({
        "iss": "https://tokens.example.com", "aud": "timbr", "azp": null, "scp": null, "groups": null,
        "preferred_username": null, "email": "bob@example.com",
    });
    merged(claims(all), more)
}

fn ask(objects: &[Value], arguments: &str) -> Run {
    run(&format!("explain -f - -n timbr {arguments}"), &stream(objects))
}

/// What is answered of a token, which is given as a file.
fn of_token(objects: &[Value], token: &str, arguments: &str) -> Run {
    // Tests run beside each other.
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = folder(&format!("explain-{count}"), &[("token", token)]);
    let run = run_in(folder, &format!("explain -f - -n timbr --to api --token token {arguments}"), &stream(objects));
    assert_says_nothing_of(token, &run);
    run
}

fn assert_says_nothing_of(token: &str, run: &Run) {
    let parts = token.split('.').map(str::trim).filter(|part| part.len() > 8);
    for secret in parts.chain([SIGNATURE, UNASKED]) {
        assert!(!run.out.contains(secret) && !run.err.contains(secret), "{}{}", run.out, run.err);
    }
}

#[test]
fn a_workload_is_answered() {
    let rules = json!([
        {"application": "app-a"},
        {"application": "orders", "namespace": "shop", "permissions": {"roles": ["reader"], "scopes": ["read", "write"]}},
        {"application": "*", "namespace": "jobs"},
        {"application": "far", "namespace": "shop", "cluster": "east"},
    ]);
    let objects = [policy(json!({"inbound": {"rules": rules}}))];
    for (arguments, code, word) in [
        ("--from app=app-a --to api", 0, "rule_matched"),
        ("--from namespace=timbr,app=app-a --to API", 0, "rule_matched"),
        ("--from app=orders,namespace=shop --to Api", 0, "rule_matched"),
        ("--from app=orders --to api", 1, "no_rule_matched"),
        ("--from namespace=jobs --to api", 0, "rule_matched"),
        ("--from namespace=shop --to api", 1, "no_rule_matched"),
        ("--from app=far,namespace=shop,cluster=east --to api", 1, "no_rule_matched"),
        ("--from app=far,namespace=shop,cluster=east --to api --cluster-name west", 0, "rule_matched"),
        ("--from app=app-a,cluster=west --to api --cluster-name west", 0, "rule_matched"),
        ("--from app=anything --to platform", 0, "no_policy"),
        ("--from app=anything --to server", 0, "no_policy"),
    ] {
        let run = ask(&objects, &format!("{arguments} -o json"));
        let decision: Value = serde_json::from_str(&run.out).expect("JSON");
        assert_eq!((run.code, decision["code"].as_str(), run.err.as_str()), (code, Some(word), ""), "{arguments}");
        assert_eq!(decision["allow"], code == 0);
    }
    let run = ask(&objects, "--from app=orders,namespace=shop --to api");
    assert_eq!(
        run.out,
        "Allowed: application orders of namespace shop may use Api, by InboundAccessPolicy api, spec.inbound.rules[1]\n\n  \
         code      rule_matched\n  \
         caller    Workload \"shop/orders\"\n  \
         rule      InboundAccessPolicy api, spec.inbound.rules[1]\n  \
         granted   role reader; scopes read, write\n"
    );
    let run = ask(&objects, "--from app=x --to api");
    assert!(
        run.out.starts_with("Denied: no rule of InboundAccessPolicy api admits application x of namespace timbr; ")
    );
    assert!(!run.out.contains("granted"), "{}", run.out);
}

#[test]
fn the_json_of_a_workload_is_the_decision() {
    let run = ask(&[policy(json!({"inbound": {"rules": [{"application": "a"}]}}))], "--from app=a --to api -o json");
    let expected = json!({
        "allow": true,
        "code": "rule_matched",
        "message": "application a of namespace timbr may use Api, by InboundAccessPolicy api, spec.inbound.rules[0]",
        "matchedRules": [{"policy": "api", "path": "spec.inbound.rules[0]"}],
        "caller": {"kind": "Workload", "id": "timbr/a", "name": "a"},
        "granted": {"roles": [], "scopes": []},
    });
    assert_eq!(serde_json::from_str::<Value>(&run.out).expect("JSON"), expected);
}

/// What NAIS has registered at Entra is known by its client id.
#[test]
fn a_registered_application_is_known() {
    let nais = |name: &str, client: &str| json!({"apiVersion": "nais.io/v1", "kind": "AzureAdApplication", "metadata": {"name": name, "namespace": "shop"}, "status": {"clientId": client}});
    let rules = policy(json!({"inbound": {"rules": [{"application": "orders", "namespace": "shop"}]}}));
    let of = |more: Value| jwt(&json!({"alg": "RS256"}), &claims(merged(json!({"idtyp": "app", "scp": null}), more)));
    let upper = CLIENT.to_uppercase();
    let app = of(json!({}));
    for (name, registered, token, code) in [
        ("nobody", vec![], &app, "caller_unknown"),
        ("it", vec![nais("orders", &upper)], &app, "rule_matched"),
        ("another", vec![nais("billing", CLIENT)], &app, "no_rule_matched"),
        ("one id of two", vec![nais("orders", CLIENT), nais("billing", CLIENT)], &app, "caller_unknown"),
        ("no id", vec![nais("orders", "soon")], &app, "caller_unknown"),
        ("another issuer", vec![nais("orders", CLIENT)], &of(json!({"iss": v2(OTHER)})), "caller_unknown"),
    ] {
        let objects = [vec![sign_on(), rules.clone()], registered].concat();
        let printed: Value = serde_json::from_str(&of_token(&objects, token, "-o json").out).expect("JSON");
        assert_eq!(printed["decision"]["code"], code, "{name}");
        let list = run("access -f - -n timbr --to api", &stream(&objects)).out;
        let is_listed = list.contains(&format!("client id {CLIENT} of directory {DIRECTORY}"));
        assert_eq!(is_listed, name == "it" || name == "another issuer", "{name}: {list}");
    }
}

/// A policy that a cluster would not take is there, and admits nobody. What is wrong with it is told.
#[test]
fn a_policy_that_is_refused_closes_the_door() {
    let rules = json!({"inbound": {"rules": [{"application": "a"}]}});
    let mut unreadable = policy(rules.clone());
    unreadable["spec"]["target"] = json!(7);
    let adrift = merged(rules.clone(), json!({"installationRef": {"name": "None!"}}));
    let mut of_platform = policy(rules.clone());
    of_platform["spec"]["target"] = json!("Platform");
    for (name, objects) in [
        ("an unknown field", vec![policy(merged(rules.clone(), json!({"inbounds": {}})))]),
        ("a rule of its own", vec![policy(json!({"inbound": {"rules": [{"application": "a", "cluster": "*"}]}}))]),
        ("no target that can be read", vec![unreadable]),
        ("an installation that cannot be", vec![policy(adrift)]),
        (
            "an installation that is not there",
            vec![policy(merged(rules.clone(), json!({"installationRef": {"name": "x"}})))],
        ),
        ("there twice", vec![policy(rules.clone()), policy(rules.clone())]),
        ("there twice, for this one and another", vec![of_platform, policy(rules.clone())]),
    ] {
        let run = ask(&objects, "--from app=a --to api -o json");
        let decision: Value = serde_json::from_str(&run.out).expect("JSON");
        assert_eq!((run.code, &decision["code"]), (1, &json!("policy_not_accepted")), "{name}");
        assert!(run.err.contains(": error: "), "{name}: {}", run.err);
    }
    // One that is right beside it is heard.
    let mut right = policy(rules.clone());
    right["metadata"]["name"] = json!("right");
    let wrong = policy(merged(rules, json!({"inbounds": {}})));
    assert_eq!(ask(&[wrong, right], "--from app=a --to api").code, 0);
    // An error elsewhere is told, and is no answer.
    let run = ask(&[azure(json!({"type": "Azur"}))], "--from app=a --to api");
    assert_eq!((run.code, run.err.contains("spec.type")), (0, true), "{}", run.err);
}

#[test]
fn without_a_policy_the_installation_decides() {
    let required = object("TimbrInstallation", "main", json!({"accessPolicy": "Required"}));
    let optional = object("TimbrInstallation", "main", json!({}));
    for (objects, code) in [
        (vec![], 0),
        (vec![optional.clone()], 0),
        (vec![required.clone()], 1),
        // Which of the two counts, nobody knows.
        (vec![optional, required], 1),
    ] {
        assert_eq!(ask(&objects, "--from app=a --to api").code, code, "{objects:?}");
    }
    // The wrong namespace is an answer about nothing.
    let run = run("explain -f - --from app=a --to api", &stream(&[policy(json!({}))]));
    assert_eq!(run.code, 0);
    assert_eq!(
        run.err,
        "note: nothing of namespace default is in the input, but of timbr: name the namespace of Timbr with -n\n"
    );
}

#[test]
fn bad_input_ends_with_two() {
    let token = jwt(&json!({"alg": "RS256"}), &claims(json!({})));
    let malformed_claims = jwt(&json!({"alg": "RS256"}), &claims(json!({"groups": "g"})));
    let files = [
        ("ok.yaml", "a: 1\n"),
        ("token", token.as_str()),
        ("short", &token[..token.rfind('.').expect("a dot")]),
        ("encrypted", "a.b.c.d.e"),
        ("text", "no token at all"),
        ("broken", "eyJhbGciOiJSUzI1NiJ9.eyJ!.x"),
        ("list", "W10.W10.x"),
        ("claims", &malformed_claims),
    ];
    let folder = folder("explain-bad", &files);
    for (arguments, error) in [
        ("--to api", "the following required arguments were not provided"),
        ("--to api --from app=a --token token", "cannot be used with"),
        ("--from app=a", "the following required arguments were not provided"),
        ("--to database --from app=a", "invalid value 'database'"),
        ("--to api --from colour=red", "colour is not known; there are app, namespace and cluster"),
        ("--to api --from orders", "must be key=value pairs"),
        ("--to api --from app=", "must be the application's name"),
        ("--to api --from app=*", "* stands in rules"),
        ("--to api --from app=a,cluster=*", "* stands in rules"),
        ("--to api --from app=a,app=b", "app is there twice"),
        ("--to api --from app=a --tenant contoso", "cannot be used with"),
        ("--to api --from app=a -f nowhere.yaml", "nowhere.yaml: "),
        ("--to api --token nowhere", "neither a JSON Web Token nor a file that can be read"),
        ("--to api --token - -f -", "only one of them can be standard input"),
        ("--to api --token short", "has 2 parts between dots"),
        ("--to api --token encrypted", "is encrypted"),
        ("--to api --token text", "has 1 parts between dots"),
        ("--to api --token broken", "the body of the token is no JSON object in base64url"),
        ("--to api --token list", "the header of the token is no JSON object in base64url"),
        ("--to api --token claims", "the claim groups has a form that it cannot have"),
        // A token in a wrong place is not repeated.
        (&format!("--to api --token {SIGNATURE}.eyJhbGci"), "neither a JSON Web Token nor a file"),
        (&format!("--to api --token {token} --from app=a"), "cannot be used with"),
    ] {
        let run = run_in(folder.clone(), &format!("explain -n timbr -f ok.yaml {arguments}"), "");
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments}: {}", run.err);
        assert!(run.err.contains(error), "{arguments}: {}", run.err);
        assert_says_nothing_of(&token, &run);
    }
}

#[test]
fn a_token_comes_from_a_file_from_standard_input_or_from_the_command_line() {
    let token = jwt(&json!({"alg": "RS256"}), &claims(json!({})));
    let input = stream(&[sign_on(), policy(json!({"claims": {"groups": [{"id": GROUP}]}})), azure(json!({}))]);
    let bearer = format!("Bearer {token}\n");
    let folder = folder("explain-ways", &[("in.yaml", &input), ("token", &token), ("bearer", &bearer)]);
    let ask = |from: &str, stdin: &str| {
        let run = run_in(folder.clone(), &format!("explain -n timbr -f in.yaml --to api --token {from}"), stdin);
        assert_says_nothing_of(&token, &run);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{from}: {}", run.out);
        run.out
    };
    let out = ask("token", "");
    assert!(out.starts_with(
        "Allowed: user \"ann@example.com\" may use Api, by InboundAccessPolicy api, spec.claims.groups[0]\n"
    ));
    assert!(out.contains("\nThe token (signature not checked):\n"), "{out}");
    assert!(out.ends_with("\nNothing is wrong with the token, as far as can be told from here.\n"), "{out}");
    let first = |out: &str| out.lines().next().map(str::to_owned);
    for other in [ask("bearer", ""), ask("-", &token), ask("-", &bearer), ask(&token, "")] {
        assert_eq!(first(&other), first(&out));
    }
}

#[test]
fn the_json_of_a_token_has_a_shape() {
    let token = jwt(&json!({"alg": "RS256"}), &claims(json!({"nbf": null, "iat": null, "exp": 1_000_000_000})));
    let run = of_token(&[sign_on(), policy(json!({"allowAllUsers": true}))], &token, "-o json");
    let mut printed: Value = serde_json::from_str(&run.out).expect("JSON");
    let message = printed["findings"][0]["message"].take();
    let message = message.as_str().expect("a sentence");
    assert!(message.starts_with("expired at 2001-09-09T01:46:40Z, ") && message.ends_with(" ago; get a new one"));
    assert_eq!(
        printed,
        json!({
            "signatureChecked": false,
            "decision": {
                "allow": true,
                "code": "all_users",
                "message": "user \"ann@example.com\" may use Api, by InboundAccessPolicy api, spec.allowAllUsers",
                "matchedRules": [{"policy": "api", "path": "spec.allowAllUsers"}],
                "caller": {"kind": "User", "id": "s1", "name": "ann@example.com"},
                "granted": {"roles": [], "scopes": []},
            },
            "findings": [
                {"object": "token", "path": "exp", "code": "expired", "result": "wrong", "message": null},
                {
                    "object": "JwtAuthentication", "path": "spec", "code": "not_accepted", "result": "unknown",
                    "message": "none is in the input: timbr-api takes no tokens without one (ENABLE_TOKEN), and nothing can be said of audience, issuer, algorithm and user",
                },
            ],
        })
    );
    assert_eq!(run.code, 1);
}

/// A row: what it is called, the resources, the header, the claims, flags, and what is found.
struct Row<'a> {
    name: &'static str,
    objects: Vec<Value>,
    algorithm: &'static str,
    claims: Value,
    flags: &'static str,
    /// `object, path: code: result`, and a part of the sentence.
    finds: (&'a str, &'a str),
}

fn row<'a>(name: &'static str, object: Value, claims: Value, finds: (&'a str, &'a str)) -> Row<'a> {
    Row { name, objects: vec![object], algorithm: "RS256", claims, flags: "", finds }
}

#[track_caller]
fn check(row: Row<'_>) {
    let Row { name, mut objects, algorithm, claims, flags, finds: (line, part) } = row;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "timbr"}, "type": "Opaque",
        "stringData": {"default.pem": include_str!("../keys/rsa-2048.pem")}});
    objects.push(secret);
    let token = jwt(&json!({"alg": algorithm}), &claims);
    let run = of_token(&objects, &token, &format!("-o json {flags}"));
    let printed: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{name}: {}", run.err));
    let findings = printed["findings"].as_array().expect("findings");
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let line_of = |it: &Value| {
        format!("{}, {}: {}: {}", text(it, "object"), text(it, "path"), text(it, "code"), text(it, "result"))
    };
    let is_it = |finding: &Value| line_of(finding) == line && text(finding, "message").contains(part);
    let found = findings.iter().filter(|finding| is_it(finding)).count();
    assert_eq!(found, 1, "{name}: {line}: {part}\n{}{}", run.out, run.err);
    let is_wrong = findings.iter().any(|finding| finding["result"] == "wrong");
    assert_eq!(run.code, i32::from(is_wrong), "{name}: {}", run.out);
    // The same in words, and nothing is said that is no result.
    let words = of_token(&objects, &token, flags).out;
    assert!(words.contains(part) || part.contains('"'), "{name}: {words}");
}

#[test]
fn times() {
    let now = now();
    for (claims, finds) in [
        (json!({"exp": now + 7_500}), ("token, exp: expired: ok", "holds until ")),
        (json!({"exp": now - 7_500}), ("token, exp: expired: wrong", ", 2 h 5 min ago; get a new one")),
        (json!({"exp": now - 7_500 * 60}), ("token, exp: expired: wrong", ", 5 d 5 h ago; get a new one")),
        (json!({"exp": 1.5}), ("token, exp: expired: wrong", "expired at 1970-01-01T00:00:01Z, ")),
        (json!({"exp": "tomorrow"}), ("token, exp: expired: wrong", "is no time")),
        (json!({"exp": 1e300}), ("token, exp: expired: wrong", "is no time")),
        (json!({"exp": null}), ("token, exp: expired: unknown", "does not say when it ends")),
        (json!({"nbf": now - 5}), ("token, nbf: not_yet_valid: ok", "holds from ")),
        (json!({"nbf": now + 7_200}), ("token, nbf: not_yet_valid: wrong", "not yet valid: holds from ")),
        (json!({"iat": now - 5}), ("token, iat: not_yet_valid: ok", "was issued at ")),
        (
            json!({"iat": now + 7_200}),
            ("token, iat: not_yet_valid: wrong", "the clocks of its issuer and of this machine differ"),
        ),
    ] {
        check(row("times", azure(json!({})), self::claims(claims), finds));
    }
}

#[test]
fn types() {
    const OK: &str = "JwtAuthentication jwt, spec.type: jwt_type: ok";
    const WRONG: &str = "JwtAuthentication jwt, spec.type: jwt_type: wrong";
    let usgov = format!("https://login.microsoftonline.us/{DIRECTORY}/v2.0");
    for (object, claims, finds) in [
        (azure(json!({})), claims(json!({})), (OK, "the token is Entra's")),
        (azure(json!({})), claims(json!({"iss": v1(OTHER)})), (OK, "the token is Entra's")),
        (azure(json!({})), others(json!({})), (WRONG, "set type: Custom")),
        (azure(json!({})), claims(json!({"iss": usgov})), (WRONG, "another of Microsoft's clouds")),
        (
            azure(json!({})),
            claims(json!({"iss": null})),
            ("JwtAuthentication jwt, spec.type: jwt_type: unknown", "has no iss"),
        ),
        (custom(json!({})), others(json!({})), (OK, "the token is not Entra's")),
        (custom(json!({})), claims(json!({})), (WRONG, "set type: Azure, and drop keyRef")),
    ] {
        check(row("types", object, claims, finds));
    }
    let elsewhere = claims(json!({"iss": usgov}));
    check(Row { flags: "--cloud usgov", ..row("cloud", azure(json!({})), elsewhere, (OK, "the token is Entra's")) });
}

#[test]
fn audiences() {
    const OK: &str = "JwtAuthentication jwt, spec.audience: audience: ok";
    const WRONG: &str = "JwtAuthentication jwt, spec.audience: audience: wrong";
    let uri = format!("api://{API}");
    for (spec, aud, finds) in [
        (json!({}), json!(API), (OK, "as the token's aud")),
        (json!({}), json!(["other", API]), (OK, "as the token's aud")),
        (json!({"audience": uri}), json!(uri), (OK, "as the token's aud")),
        (json!({}), json!(uri), (WRONG, "the same application written in another form")),
        (json!({"audience": uri}), json!(API), (WRONG, "the same application written in another form")),
        (json!({}), json!(format!("spn:{API}")), (WRONG, "the same application written in another form")),
        (json!({}), json!(API.to_uppercase()), (WRONG, "the same application written in another form")),
        (json!({"audience": uri}), json!(format!("{uri}/")), (WRONG, "the same application written in another form")),
        (json!({}), json!("00000003-0000-0000-c000-000000000000"), (WRONG, "issued for Microsoft Graph")),
        (json!({}), json!("https://graph.microsoft.com/"), (WRONG, "issued for Microsoft Graph")),
        (json!({}), json!(OTHER), (WRONG, "it was issued for another application; get one for Timbr")),
        (json!({}), json!(null), (WRONG, "the token has no aud")),
        (
            json!({"audience": null}),
            json!(API),
            ("JwtAuthentication jwt, spec.audience: audience: unknown", "x-jwt-client-id"),
        ),
    ] {
        check(row("audiences", azure(spec), claims(json!({"aud": aud})), finds));
    }
}

#[test]
fn issuers() {
    const OK: &str = "JwtAuthentication jwt, spec.issuer: issuer: ok";
    const WRONG: &str = "JwtAuthentication jwt, spec.issuer: issuer: wrong";
    let common = "https://login.microsoftonline.com/common/v2.0";
    for (issuer, iss, finds) in [
        (json!(v2(DIRECTORY)), json!(v2(DIRECTORY)), (OK, "as the token's iss")),
        (json!(v1(DIRECTORY)), json!(v1(DIRECTORY)), (OK, "as the token's iss")),
        (json!(v2(DIRECTORY)), json!(v1(DIRECTORY)), (WRONG, "version 1 of the same directory")),
        (json!(v1(DIRECTORY)), json!(v2(DIRECTORY)), (WRONG, "accessTokenAcceptedVersion to 1")),
        (json!(v2(OTHER)), json!(v2(DIRECTORY)), (WRONG, "of another directory")),
        (json!(common), json!(v2(DIRECTORY)), (WRONG, "no token names common as its issuer")),
        (json!(v1(DIRECTORY).trim_end_matches('/')), json!(v1(DIRECTORY)), (WRONG, "they differ in the final slash")),
        (json!(v2(DIRECTORY)), json!(format!("{}/", v2(DIRECTORY))), (WRONG, "they differ in the final slash")),
        (json!(v2(DIRECTORY)), json!(v2(DIRECTORY).to_uppercase()), (WRONG, "the same address in another spelling")),
        (
            json!(v2(DIRECTORY)),
            json!("https://tokens.example.com"),
            (WRONG, "name the issuer in the header x-jwt-issuer"),
        ),
        (json!(v2(DIRECTORY)), json!(null), (WRONG, "the token has no iss")),
        (json!(null), json!(v2(DIRECTORY)), ("JwtAuthentication jwt, spec.issuer: issuer: unknown", "x-jwt-issuer")),
    ] {
        check(row("issuers", azure(json!({"issuer": issuer})), claims(json!({"iss": iss})), finds));
    }
}

#[test]
fn user_claims() {
    const OK: &str = "JwtAuthentication jwt, spec.userClaim: user_claim: ok";
    const WRONG: &str = "JwtAuthentication jwt, spec.userClaim: user_claim: wrong";
    const NAME: &str = "JwtAuthentication jwt, spec.userClaim: user_name: unknown";
    for (object, claims, finds) in [
        (azure(json!({})), claims(json!({})), (OK, "is preferred_username, which the token has: \"ann@example.com\"")),
        (
            azure(json!({})),
            claims(json!({})),
            (NAME, "for the user \"ann@example.com\"; verify that a user of exactly this name exists"),
        ),
        (azure(json!({"userClaim": null})), claims(json!({"upn": "ann@x.com"})), (OK, "is absent, so Timbr takes upn")),
        (
            azure(json!({"userClaim": "upn"})),
            claims(json!({})),
            (WRONG, "carry no upn unless it is added as an optional claim"),
        ),
        (azure(json!({"userClaim": "upn"})), claims(json!({})), (WRONG, "(it has preferred_username)")),
        (
            azure(json!({"userClaim": "upn", "issuer": v1(DIRECTORY)})),
            claims(json!({"iss": v1(DIRECTORY)})),
            (WRONG, "is upn, and the token has none; name a claim that it has (it has preferred_username)"),
        ),
        (azure(json!({"userClaim": "oid"})), claims(json!({"oid": 7})), (WRONG, "which is no text in the token")),
        (azure(json!({})), claims(json!({"preferred_username": ""})), (WRONG, "which is no text in the token")),
        (
            azure(json!({})),
            claims(json!({"idtyp": "app", "preferred_username": null})),
            (WRONG, "an application's own, and speaks for no user"),
        ),
        (custom(json!({"userClaim": null})), others(json!({})), (OK, "is absent, so Timbr takes email")),
        (
            custom(json!({"userClaim": "username"})),
            others(json!({"name": "Bob"})),
            (WRONG, "name a claim that it has (it has email)"),
        ),
        (
            custom(json!({})),
            others(json!({"email": "Very.Long.Name.Of.Somebody1@example.com"})),
            (NAME, "(not shown as a whole here)"),
        ),
    ] {
        check(row("user claims", object, claims, finds));
    }
}

#[test]
fn tenants() {
    let tenant = |more: Value| object("JwtTenant", "contoso", merged(json!({"tenant": "contoso"}), more));
    const TENANT: &str = "JwtTenant contoso, spec.tenant: tenant: ok";
    let rows = [
        (
            "no tenants",
            vec![azure(json!({}))],
            "",
            ("JwtAuthentication jwt, spec.tenantUsers: tenant_users: ok", "without a tenant"),
        ),
        (
            "tenant users",
            vec![azure(json!({"tenantUsers": true}))],
            "--tenant tenant-5",
            ("JwtAuthentication jwt, spec.userClaim: user_name: unknown", "for the user \"tenant-5/ann@example.com\""),
        ),
        (
            "tenant users",
            vec![azure(json!({"tenantUsers": true}))],
            "--tenant tenant-5",
            (
                "JwtAuthentication jwt, spec.tenantUsers: tenant_users: ok",
                "puts the tenant \"tenant-5\" and a slash before",
            ),
        ),
        (
            "no tenant named",
            vec![azure(json!({"tenantUsers": true}))],
            "",
            (
                "JwtAuthentication jwt, spec.tenantUsers: tenant_users: unknown",
                "to see the name as a whole, add --tenant",
            ),
        ),
        (
            "one name for two",
            vec![azure(json!({})), tenant(json!({}))],
            "--tenant contoso",
            (
                "JwtAuthentication jwt, spec.tenantUsers: tenant_users: unknown",
                "users of two tenants with one name are one user",
            ),
        ),
        (
            "no tenant of the header",
            vec![azure(json!({})), tenant(json!({}))],
            "",
            ("JwtTenant, spec: tenant: unknown", "add --tenant (contoso)"),
        ),
        (
            "another case",
            vec![azure(json!({})), tenant(json!({}))],
            "--tenant Contoso",
            (TENANT, "x-jwt-tenant-id: \"Contoso\""),
        ),
        (
            "not there",
            vec![azure(json!({})), tenant(json!({}))],
            "--tenant fabrikam",
            ("JwtTenant, spec: tenant: unknown", "(there are contoso)"),
        ),
        (
            "its own audience",
            vec![azure(json!({"audience": "x"})), tenant(json!({"audience": API}))],
            "--tenant contoso",
            ("JwtTenant contoso, spec.audience: audience: ok", "as the token's aud"),
        ),
        (
            "its own audience",
            vec![azure(json!({})), tenant(json!({"audience": "x"}))],
            "--tenant contoso",
            ("JwtTenant contoso, spec.audience: audience: wrong", "is x, and the token's aud is"),
        ),
        (
            "another one's audience",
            vec![azure(json!({"audience": "x"})), tenant(json!({"audience": API}))],
            "",
            (
                "JwtAuthentication jwt, spec.audience: audience: wrong",
                "; it is that of JwtTenant contoso: send x-jwt-tenant-id: contoso",
            ),
        ),
        (
            "its own algorithms",
            vec![azure(json!({})), tenant(json!({"algorithms": ["RSA-OAEP"]}))],
            "--tenant contoso",
            (
                "JwtTenant contoso, spec.algorithms: algorithm: wrong",
                "has RSA-OAEP, and the token is signed by \"RS256\"",
            ),
        ),
    ];
    for (name, objects, flags, finds) in rows {
        check(Row { objects, flags, ..row(name, json!({}), claims(json!({})), finds) });
    }
}

#[test]
fn algorithms() {
    const OK: &str = "JwtAuthentication jwt, spec.algorithms: algorithm: ok";
    const WRONG: &str = "JwtAuthentication jwt, spec.algorithms: algorithm: wrong";
    for (object, algorithm, finds) in [
        (azure(json!({})), "RS256", (OK, "has RS256, by which the token is signed")),
        (azure(json!({"algorithms": ["RSA-OAEP"]})), "RS256", (WRONG, "add RS256; its public key")),
        (azure(json!({})), "HS256", (WRONG, "Entra signs by RS256")),
        (azure(json!({})), "none", (WRONG, "it is not signed at all")),
        (azure(json!({})), "PS512", (WRONG, "Timbr knows HS256, RSA-OAEP, RS256, AES alone")),
        (custom(json!({})), "HS256", (WRONG, "it needs the secret in keyRef, never a public key")),
    ] {
        check(Row { algorithm, ..row("algorithms", object, claims(json!({})), finds) });
    }
}

#[test]
fn nonces() {
    let nonce = || claims(json!({"nonce": "n-0S6-WzA2Mj"}));
    check(row("nonce", azure(json!({})), nonce(), ("token, nonce: nonce: unknown", "x-jwt-nonce")));
    check(row(
        "none",
        azure(json!({})),
        claims(json!({})),
        ("token, nonce: nonce: ok", "requests need no x-jwt-nonce"),
    ));
    let run = of_token(&[azure(json!({}))], &jwt(&json!({"alg": "RS256"}), &nonce()), "");
    assert!(!run.out.contains("n-0S6-WzA2Mj"));
}

#[test]
fn what_is_not_accepted_does_not_count() {
    let wrong = azure(json!({"algorithms": ["HS256"]}));
    let finds = ("JwtAuthentication jwt, spec: not_accepted: wrong", "validate says what");
    check(row("refused", wrong, claims(json!({})), finds));
    let mut second = azure(json!({"audience": "other"}));
    second["metadata"]["name"] = json!("second");
    let finds = ("JwtAuthentication second, spec: not_accepted: unknown", "is not accepted");
    let objects = vec![azure(json!({})), second];
    check(Row { objects, ..row("a second one", json!({}), claims(json!({})), finds) });
    let finds = ("JwtAuthentication jwt, spec.suspend: not_accepted: unknown", "delivered before");
    check(row("suspended", azure(json!({"suspend": true})), claims(json!({})), finds));
}

#[test]
fn providers() {
    const IT: &str = "ExternalTokenProvider own, spec.issuerUrl: provider: ok";
    let entra = |more: Value| provider(merged(json!({"issuerUrl": v2(DIRECTORY), "audiences": [API]}), more));
    for (object, claims, finds) in [
        (provider(json!({})), others(json!({})), (IT, "are this provider's")),
        (provider(json!({})), others(json!({"iss": "HTTPS://Tokens.Example.com:443/"})), (IT, "are this provider's")),
        (provider(json!({})), others(json!({"aud": ["x", "timbr"]})), (IT, "are this provider's")),
        (
            provider(json!({})),
            others(json!({})),
            ("ExternalTokenProvider own, spec.enabled: provider_enabled: ok", "is trusted"),
        ),
        (
            provider(json!({"enabled": false})),
            others(json!({})),
            ("ExternalTokenProvider own, spec.enabled: provider_enabled: wrong", "set it to true"),
        ),
        (
            provider(json!({})),
            others(json!({})),
            ("ExternalTokenProvider own, spec.algorithms: algorithm: ok", "has RS256"),
        ),
        (
            provider(json!({"algorithms": ["ES256"]})),
            others(json!({})),
            (
                "ExternalTokenProvider own, spec.algorithms: algorithm: wrong",
                "has ES256, and the token is signed by \"RS256\"",
            ),
        ),
        (
            provider(json!({})),
            others(json!({})),
            ("ExternalTokenProvider own, spec.userClaim: user_claim: ok", "\"bob@example.com\""),
        ),
        (
            provider(json!({})),
            others(json!({})),
            ("ExternalTokenProvider own, spec.userClaim: user_name: unknown", "exactly this name"),
        ),
        (
            provider(json!({"userClaim": "upn"})),
            others(json!({})),
            ("ExternalTokenProvider own, spec.userClaim: user_claim: wrong", "(it has email)"),
        ),
        (
            provider(json!({})),
            others(json!({"aud": "other"})),
            (
                "ExternalTokenProvider own, spec.audiences: provider: wrong",
                "get a token for one of those, or add the token's",
            ),
        ),
        (
            provider(json!({})),
            others(json!({"aud": "api://timbr"})),
            ("ExternalTokenProvider own, spec.audiences: provider: wrong", "written in another form"),
        ),
        (
            entra(json!({})),
            claims(json!({"iss": v1(DIRECTORY)})),
            ("ExternalTokenProvider own, spec.issuerUrl: provider: wrong", "the other version of the same directory"),
        ),
        (
            provider(json!({})),
            claims(json!({})),
            ("ExternalTokenProvider, spec: provider: unknown", "none of the input trusts issuer"),
        ),
        (
            provider(json!({"userClaim": "no claim"})),
            others(json!({})),
            ("ExternalTokenProvider own, spec: not_accepted: unknown", "is not accepted"),
        ),
    ] {
        check(row("providers", object, claims, finds));
    }
}

/// A token for timbr-api is none of a provider's business that trusts the same issuer.
#[test]
fn a_token_for_timbr_need_not_go_to_a_provider() {
    let provider = provider(json!({"issuerUrl": v2(DIRECTORY), "audiences": ["api://other"]}));
    for (authentication, result) in [(azure(json!({})), "unknown"), (azure(json!({"audience": "x"})), "wrong")] {
        let finds = format!("ExternalTokenProvider own, spec.audiences: provider: {result}");
        let objects = vec![authentication, provider.clone()];
        check(Row {
            objects,
            ..row("meant for timbr-api", json!({}), claims(json!({})), (&finds, "get a token for one"))
        });
    }
}

/// What a token says is somebody else's text.
#[test]
fn no_claim_writes_over_a_terminal() {
    let evil = "\u{1b}[2Jann\u{202e}\nAllowed: everybody";
    let all = json!({"iss": evil, "aud": evil, "azp": evil, "sub": evil, "preferred_username": evil, "groups": [evil]});
    let objects = [sign_on(), policy(json!({})), azure(json!({})), provider(json!({}))];
    let run = of_token(&objects, &jwt(&json!({"alg": evil}), &claims(all)), "");
    assert_eq!(run.code, 1);
    assert!(!run.out.contains(['\u{1b}', '\u{202e}']), "{}", run.out);
    assert!(!run.out.lines().any(|line| line.starts_with("Allowed")), "{}", run.out);
}

/// By the record of a cluster, as `kubectl get secret -o yaml` prints it.
#[test]
fn what_was_removed_from_a_cluster_opens_nothing() {
    let record = |annotation: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "timbr-identity-guards", "namespace": "timbr",
                "annotations": {"identity.timbr.ai/guards": annotation},
            },
        })
    };
    let ask = |input: &[Value]| {
        let run = run("explain --from app=orders,namespace=shop --to api -n timbr -f - -o json", &stream(input));
        let decision: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}", run.err));
        (run.code, decision["code"].as_str().unwrap_or_default().to_owned())
    };
    let shut = record(r#"{"Api":["gone"]}"#);
    assert_eq!(ask(std::slice::from_ref(&shut)), (1, "policy_removed".to_owned()));
    assert_eq!(ask(&[record("{}")]), (0, "no_policy".to_owned()));
    assert_eq!(ask(&[record(r#"{"Server":["gone"]}"#)]), (0, "no_policy".to_owned()));
    let admits = policy(json!({"inbound": {"rules": [{"application": "orders", "namespace": "shop"}]}}));
    assert_eq!(ask(&[shut.clone(), admits]), (0, "rule_matched".to_owned()));
    // One that only watches does not open what another shut.
    let watches = policy(json!({"enforcement": "Audit"}));
    assert_eq!(ask(&[shut, watches]), (1, "no_rule_matched".to_owned()));
}
