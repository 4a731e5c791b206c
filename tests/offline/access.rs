//! What `access` lists, and what a change opens and closes.

use serde_json::{Value, json};

use crate::{
    bad_input::azure_sso,
    run::{Run, folder, run, run_in, stream},
};

const DIRECTORY: &str = "11111111-0000-4000-8000-00000000000a";
const OTHER: &str = "22222222-0000-4000-8000-00000000000b";
const CLIENT: &str = "33333333-0000-4000-8000-00000000000c";
const GROUP: &str = "44444444-0000-4000-8000-00000000000d";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "identity.timbr.ai/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "timbr"}, "spec": spec})
}

fn policy(name: &str, fields: Value) -> Value {
    let mut policy = object("InboundAccessPolicy", name, fields);
    policy["spec"]["target"] = json!("Api");
    policy
}

fn rules(rules: Value) -> Value {
    policy("api", json!({"inbound": {"rules": rules}}))
}

fn sign_on() -> Value {
    let mut sso = azure_sso();
    sso["metadata"]["namespace"] = json!("timbr");
    sso["spec"]["tenantId"] = json!(DIRECTORY);
    sso
}

fn required() -> Value {
    object("TimbrInstallation", "main", json!({"accessPolicy": "Required"}))
}

fn list(objects: &[Value], flags: &str) -> Run {
    run(&format!("access -f - -n timbr --to api {flags}"), &stream(objects))
}

#[test]
fn the_list_is_a_table() {
    let objects = [
        sign_on(),
        rules(json!([
            {"application": "app-a", "permissions": {"roles": ["reader"]}},
            {"application": "*", "namespace": "shop", "clientId": CLIENT.to_uppercase(), "tenantId": OTHER},
            {"application": "far", "namespace": "*", "cluster": "east"},
        ])),
        policy("users", json!({"allowAllUsers": true, "claims": {"groups": [{"id": GROUP}]}})),
        policy("wrong", json!({"allowAllUsers": "yes"})),
    ];
    let run = list(&objects, "");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.starts_with("-:4: error: spec.allowAllUsers: "), "{}", run.err);
    // Columns by two spaces or more.
    let rows: Vec<Vec<String>> = run
        .out
        .lines()
        .map(|line| line.split("   ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let by_id = format!("client id {CLIENT} of directory {OTHER}");
    let by_token = format!("a token of directory {DIRECTORY}");
    let group = format!("direct members of group {GROUP}");
    assert_eq!(
        rows[..11],
        [
            &[
                "Api of namespace timbr: those come in that are listed; enforcement is Enforce (InboundAccessPolicies api, users, wrong)"
            ][..],
            &[],
            &["WHO", "KNOWN BY", "GRANTED", "COMES IN", "BY"],
            &["application app-a of namespace timbr", "its name", "role reader", "yes", "api, spec.inbound.rules[0]"],
            &["every application of namespace shop", "its name", "yes", "api, spec.inbound.rules[1]"],
            &["every application of namespace shop", &by_id, "yes", "api, spec.inbound.rules[1]"],
            &["application far of every namespace, cluster east", "its name", "nobody", "api, spec.inbound.rules[2]"],
            &["every user", &by_token, "yes", "users, spec.allowAllUsers"],
            &[&group, &by_token, "yes", "users, spec.claims.groups[0]"],
            &["nobody", "not accepted", "wrong"],
            &[],
        ]
    );
    assert!(
        run.out.contains("\nnobody comes in by api, spec.inbound.rules[2]: the rule names a cluster, "),
        "{}",
        run.out
    );
    assert!(run.out.contains("\nwrong is not accepted, and admits nobody: spec.allowAllUsers: "), "{}", run.out);
    // With a name, the rule counts; with that of the rule, it is about this cluster.
    for (name, who) in [("west", "every namespace, cluster east "), ("east", "every namespace ")] {
        let out = list(&objects, &format!("--cluster-name {name}")).out;
        let rule = out.lines().find(|line| line.ends_with("rules[2]")).expect("the rule");
        assert!(rule.starts_with(&format!("application far of {who}")) && rule.contains(" yes "), "{rule}");
    }
}

#[test]
fn doors() {
    let nobody = json!({});
    let audit = || policy("watch", json!({"enforcement": "Audit"}));
    let mut of_platform = rules(json!([{"application": "a"}]));
    of_platform["spec"]["target"] = json!("Platform");
    for (objects, door, says) in [
        (vec![], "NoPolicy", "everybody comes in, as no InboundAccessPolicy speaks of it\n"),
        (vec![of_platform], "NoPolicy", "everybody comes in"),
        (
            vec![required()],
            "PolicyMissing",
            "nobody comes in: no InboundAccessPolicy speaks of it, and accessPolicy is Required\n",
        ),
        (
            vec![policy("a", nobody.clone())],
            "Enforce",
            "those come in that are listed; enforcement is Enforce (InboundAccessPolicy a)\n",
        ),
        (vec![audit()], "Audit", "everybody comes in; enforcement is Audit (InboundAccessPolicy watch)\n"),
        (vec![audit(), policy("a", nobody.clone())], "Enforce", "(InboundAccessPolicies a, watch)\n"),
        (
            vec![policy("a", json!({"allowAllUsers": 1}))],
            "PolicyNotAccepted",
            "nobody comes in: no policy of it is accepted (InboundAccessPolicy a)\n",
        ),
        (vec![audit(), policy("a", json!({"allowAllUsers": 1}))], "Enforce", "those come in that are listed"),
    ] {
        let json: Value = serde_json::from_str(&list(&objects, "-o json").out).expect("JSON");
        assert_eq!(json["door"], door);
        let out = list(&objects, "").out;
        assert!(out.contains(says), "{out}");
    }
}

#[test]
fn the_list_as_json() {
    let objects =
        [rules(json!([{"application": "a", "clientId": CLIENT}])), policy("wrong", json!({"allowAllUsers": 1}))];
    let mut printed: Value = serde_json::from_str(&list(&objects, "-o json").out).expect("JSON");
    let problem = printed["policies"][1]["problem"].take();
    assert!(problem.as_str().expect("a sentence").ends_with("[FieldType]"), "{problem}");
    let who = json!({"kind": "Application", "application": "a", "namespace": "timbr"});
    let nothing = json!({"roles": [], "scopes": []});
    let place = |known: Value| json!({"who": who, "knownBy": known, "policy": "api", "path": "spec.inbound.rules[0]", "granted": nothing});
    let mut by_id = place(json!({"kind": "ClientId", "clientId": CLIENT}));
    by_id["inert"] = json!("DirectoryUnknown");
    assert_eq!(
        printed,
        json!({
            "namespace": "timbr",
            "target": "Api",
            "door": "Enforce",
            "policies": [{"name": "api", "enforcement": "Enforce"}, {"name": "wrong", "problem": null}],
            "entries": [place(json!({"kind": "Name"})), by_id],
        })
    );
}

/// What a change opens and closes: the lines that are printed, and the exit code.
fn change(name: &str, now: &[Value], then: &[Value], flags: &str) -> (Vec<String>, Run) {
    let folder = folder(&format!("access-{name}"), &[("now.yaml", &stream(now)), ("then.yaml", &stream(then))]);
    let run = run_in(folder, &format!("access -f now.yaml --diff then.yaml -n timbr --to api {flags}"), "");
    let lines = run.out.lines().filter(|line| line.starts_with(['+', '-'])).map(str::to_owned).collect();
    (lines, run)
}

#[test]
fn changes() {
    let a = || rules(json!([{"application": "a"}]));
    let and_b = || rules(json!([{"application": "b", "namespace": "shop"}, {"application": "a"}]));
    let granted = |roles: Value| rules(json!([{"application": "a", "permissions": {"roles": roles, "scopes": ["s"]}}]));
    let by_id = || rules(json!([{"application": "a", "clientId": CLIENT, "tenantId": OTHER}]));
    let group = || policy("api", json!({"claims": {"groups": [{"id": GROUP}]}}));
    let audit = || policy("api", json!({"enforcement": "Audit", "inbound": {"rules": [{"application": "a"}]}}));
    let mut renamed = a();
    renamed["metadata"]["name"] = json!("renamed");
    let in_group = format!("direct members of group {GROUP}, by a token of directory {DIRECTORY}");
    const EVERYBODY: &str = "everybody who is not listed";
    const A: &str = "application a of namespace timbr, by its name";
    const B: &str = "application b of namespace shop, by its name";
    let plus = |text: &str| format!("+ {text}");
    let minus = |text: &str| format!("- {text}");
    // What it is, what is now, what will be, and the lines of it.
    let rows = [
        ("the same", vec![a()], vec![a()], Vec::<String>::new()),
        ("renamed", vec![a()], vec![renamed], vec![]),
        ("a rule more", vec![a()], vec![and_b()], vec![plus(B)]),
        ("a rule less", vec![and_b()], vec![a()], vec![minus(B)]),
        (
            "an id more",
            vec![a()],
            vec![by_id()],
            vec![plus(&format!("application a of namespace timbr, by client id {CLIENT} of directory {OTHER}"))],
        ),
        (
            "grants",
            vec![granted(json!(["r"]))],
            vec![granted(json!(["w"]))],
            vec![plus(&format!("{A}: role w")), minus(&format!("{A}: role r"))],
        ),
        (
            "a rule with grants",
            vec![rules(json!([]))],
            vec![granted(json!(["r", "w"]))],
            vec![plus(&format!("{A}, with roles r, w; scope s"))],
        ),
        ("a group", vec![sign_on(), a()], vec![sign_on(), group()], vec![plus(&in_group), minus(A)]),
        ("a group without a directory", vec![a()], vec![group()], vec![minus(A)]),
        ("a directory", vec![group()], vec![sign_on(), group()], vec![plus(&in_group)]),
        ("the first policy", vec![], vec![a()], vec![minus(EVERYBODY)]),
        (
            "the first policy, with grants",
            vec![],
            vec![granted(json!(["r"]))],
            vec![plus(&format!("{A}: role r; scope s")), minus(EVERYBODY)],
        ),
        ("no policy any more", vec![a()], vec![], vec![plus(EVERYBODY)]),
        ("required", vec![], vec![required()], vec![minus(EVERYBODY)]),
        ("no more required", vec![required()], vec![], vec![plus(EVERYBODY)]),
        ("a policy where one is required", vec![required()], vec![required(), a()], vec![plus(A)]),
        ("Audit", vec![a()], vec![audit()], vec![plus(EVERYBODY)]),
        ("Enforce", vec![audit()], vec![a()], vec![minus(EVERYBODY)]),
        ("wrong", vec![a()], vec![policy("api", json!({"allowAllUsers": 1}))], vec![minus(A)]),
        ("mended", vec![policy("api", json!({"allowAllUsers": 1}))], vec![a()], vec![plus(A)]),
    ];
    for (i, (name, now, then, expected)) in rows.into_iter().enumerate() {
        let (lines, run) = change(&format!("change-{i}"), &now, &then, "");
        assert_eq!(lines, expected, "{name}: {}", run.out);
        let opens = expected.iter().any(|line| line.starts_with('+'));
        assert_eq!(run.code, i32::from(opens), "{name}");
        assert_eq!(expected.is_empty(), run.out.ends_with("\nnothing opens, nothing closes\n"), "{name}");
        let (_, run) = change(&format!("change-{i}-json"), &now, &then, "-o json");
        let json: Value = serde_json::from_str(&run.out).expect("JSON");
        assert_eq!((run.code, &json["opens"]), (i32::from(opens), &json!(opens)), "{name}");
    }
}

#[test]
fn a_change_as_json() {
    let then = rules(json!([{"application": "b", "permissions": {"scopes": ["s"]}}]));
    let (_, run) = change("json", &[rules(json!([{"application": "a"}]))], &[then], "-o json");
    let line = |application: &str, scopes: Value| {
        json!({
            "who": {"kind": "Application", "application": application, "namespace": "timbr"},
            "knownBy": {"kind": "Name"},
            "comesIn": true,
            "granted": {"roles": [], "scopes": scopes},
        })
    };
    assert_eq!(
        serde_json::from_str::<Value>(&run.out).expect("JSON"),
        json!({
            "namespace": "timbr",
            "target": "Api",
            "door": {"now": "Enforce", "then": "Enforce"},
            "opens": true,
            "opened": [line("b", json!(["s"]))],
            "closed": [line("a", json!([]))],
        })
    );
}

#[test]
fn bad_input_ends_with_two() {
    let input = stream(&[rules(json!([]))]);
    for (arguments, error) in [
        ("-f -", "the following required arguments were not provided"),
        ("--to api", "the following required arguments were not provided"),
        ("-f - --to nothing", "invalid value 'nothing'"),
        ("-f nowhere --to api", "nowhere: "),
        ("-f - --to api --diff nowhere", "nowhere: "),
        ("-f - --to api --diff -", "only one of them can be standard input"),
        ("-f - --to api --diff . --cloud custom", "--cloud custom needs --authority-url"),
    ] {
        let run = run(&format!("access {arguments}"), &input);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments}: {}", run.err);
        assert!(run.err.contains(error), "{arguments}: {}", run.err);
    }
    // What is wrong with either input is told.
    let wrong = policy("api", json!({"allowAllUsers": 1}));
    let wrong = std::slice::from_ref(&wrong);
    let (_, run) = change("errors", wrong, wrong, "");
    assert_eq!((run.code, run.err.matches(": error: ").count()), (0, 2), "{}", run.err);
}
