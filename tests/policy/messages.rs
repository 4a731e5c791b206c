//! What a decision says: as data, and in sentences that tell what to do.

use serde_json::{Value, json};
use timbr_identity::{
    api::{InboundAccessPolicySpec, PolicyTarget::Api},
    policy::{Caller, Claims, Code, Decision, Policy, State, Trust, Unlisted, Workload, decide, rule_for},
};

const DIRECTORY: &str = "11111111-0000-4000-8000-00000000000a";
const CLIENT: &str = "33333333-0000-4000-8000-00000000000c";

fn spec(fields: Value) -> InboundAccessPolicySpec {
    let mut spec = json!({"target": "Api"});
    spec.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    serde_json::from_value(spec).expect("a spec")
}

fn policy<'a>(name: &'a str, state: State<'a>) -> Policy<'a> {
    Policy { namespace: "timbr", name, target: Some(Api), state }
}

fn trust() -> Trust {
    let registered = [(CLIENT.to_owned(), workload(Some("orders"), "shop"))].into();
    Trust { directory: Some(DIRECTORY.to_owned()), registered, ..Trust::default() }
}

fn workload(application: Option<&str>, namespace: &str) -> Workload {
    Workload { application: application.map(str::to_owned), namespace: namespace.to_owned(), cluster: None }
}

fn pods(application: &str) -> Caller {
    Caller::Workload(workload(Some(application), "shop"))
}

fn token(claims: Value) -> Caller {
    let mut all = json!({"iss": format!("https://login.microsoftonline.com/{DIRECTORY}/v2.0"), "sub": "s"});
    all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
    Caller::Token(Box::new(Claims::read(&all).expect("claims")))
}

/// The answer of one accepted policy, `api`.
fn one(trust: &Trust, fields: Value, caller: &Caller) -> Decision {
    let spec = spec(fields);
    decide(trust, Api, &[policy("api", State::Accepted(&spec))], caller)
}

#[track_caller]
fn says(decision: &Decision, code: Code, message: &str) {
    assert_eq!((decision.code, &*decision.message), (code, message));
}

#[test]
fn a_decision_is_data() {
    let rules = json!({"inbound": {"rules": [
        {"application": "*", "namespace": "shop", "permissions": {"roles": ["reader"], "scopes": ["read"]}},
        {"application": "orders", "namespace": "shop", "permissions": {"roles": ["writer"]}},
    ]}});
    let decision = one(&trust(), rules, &pods("orders"));
    let expected = json!({
        "allow": true,
        "code": "rule_matched",
        "message": "application orders of namespace shop may use Api, by InboundAccessPolicy api, spec.inbound.rules[0]; InboundAccessPolicy api, spec.inbound.rules[1]",
        "matchedRules": [
            {"policy": "api", "path": "spec.inbound.rules[0]"},
            {"policy": "api", "path": "spec.inbound.rules[1]"},
        ],
        "caller": {"kind": "Workload", "id": "shop/orders", "name": "orders"},
        "granted": {"roles": ["reader", "writer"], "scopes": ["read"]},
    });
    assert_eq!(serde_json::to_value(&decision).expect("JSON"), expected);
}

#[test]
fn codes_are_words() {
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).expect("JSON"), code.as_str());
    }
}

#[test]
fn callers_have_names() {
    let nobody = json!({});
    let of =
        |trust: &Trust, caller: &Caller| serde_json::to_value(one(trust, nobody.clone(), caller).caller).expect("JSON");
    let elsewhere = Workload { cluster: Some("east".to_owned()), ..workload(None, "shop") };
    assert_eq!(of(&trust(), &Caller::Workload(elsewhere)), json!({"kind": "Workload", "id": "east/shop"}));
    let app = token(json!({"azp": CLIENT, "azp_name": "west:shop:orders"}));
    let by_id = json!({"kind": "Application", "id": CLIENT, "name": "west:shop:orders"});
    assert_eq!(of(&Trust { registered: Default::default(), ..trust() }, &app), by_id);
    assert_eq!(of(&trust(), &app), json!({"kind": "Application", "id": "shop/orders", "name": "orders"}));
    let user = token(json!({"scp": "use", "preferred_username": "ann@example.com"}));
    assert_eq!(of(&trust(), &user), json!({"kind": "User", "id": "s", "name": "ann@example.com"}));
}

#[test]
fn without_a_policy_it_is_said_what_holds() {
    let closed = Trust { unlisted: Unlisted::Closed, ..trust() };
    says(
        &decide(&trust(), Api, &[], &pods("orders")),
        Code::NoPolicy,
        "everybody may use Api: no InboundAccessPolicy speaks of it",
    );
    says(
        &decide(&closed, Api, &[], &pods("orders")),
        Code::PolicyMissing,
        "nobody may use Api: no InboundAccessPolicy speaks of it, and accessPolicy is Required; write one with target: Api that admits application orders of namespace shop",
    );
    says(
        &decide(&trust(), Api, &[policy("api", State::Removed)], &pods("orders")),
        Code::PolicyRemoved,
        "nobody may use Api: InboundAccessPolicy api was removed, which opens nothing; write one with target: Api that admits application orders of namespace shop, or, to let everybody in, write it again with enforcement: Audit, and delete it once it is Ready (or delete Secret timbr-identity-guards)",
    );
    says(
        &decide(&trust(), Api, &[policy("b", State::Removed), policy("a", State::Invalid)], &pods("orders")),
        Code::PolicyNotAccepted,
        "InboundAccessPolicy a is not accepted, and admits nobody until it is mended; see its status",
    );
    // One that only watches does not open what another kept shut: whoever sees only that one is told.
    let watches = spec(json!({"enforcement": "Audit"}));
    says(
        &decide(&trust(), Api, &[policy("b", State::Removed), policy("a", State::Accepted(&watches))], &pods("orders")),
        Code::NoRuleMatched,
        "no rule of InboundAccessPolicy a admits application orders of namespace shop; add to spec.inbound.rules: {\"application\": \"orders\", \"namespace\": \"shop\"}; InboundAccessPolicy b was removed, which opens nothing: write it again with enforcement: Audit, and delete it once it is Ready (or delete Secret timbr-identity-guards)",
    );
}

/// A policy that cannot be read may be about any component.
#[test]
fn what_cannot_be_read_closes_every_door() {
    for target in timbr_identity::api::PolicyTarget::ALL {
        let unreadable = Policy { namespace: "timbr", name: "x", target: None, state: State::Invalid };
        assert_eq!(decide(&trust(), target, &[unreadable], &pods("orders")).code, Code::PolicyNotAccepted);
    }
}

#[test]
fn whoever_only_watches_says_what_would_be_refused() {
    says(
        &one(&trust(), json!({"enforcement": "Audit"}), &pods("orders")),
        Code::AuditOnly,
        "would be refused (no_rule_matched), but the policies only watch: no rule of InboundAccessPolicy api admits application orders of namespace shop; add to spec.inbound.rules: {\"application\": \"orders\", \"namespace\": \"shop\"}",
    );
}

#[test]
fn a_workload_is_told_the_missing_rule() {
    let named = Trust { cluster: Some("west".to_owned()), ..trust() };
    let east =
        |application| Caller::Workload(Workload { cluster: Some("east".to_owned()), ..workload(application, "shop") });
    let rows = [
        (
            &trust(),
            Caller::Workload(workload(Some("orders"), "timbr")),
            "application orders of namespace timbr; add to spec.inbound.rules: {\"application\": \"orders\"}",
        ),
        (
            &trust(),
            Caller::Workload(workload(None, "shop")),
            "an application of namespace shop that has no name; give its pods the label app.kubernetes.io/name, and add a rule with that name",
        ),
        (
            &named,
            east(Some("orders")),
            "application orders of namespace shop, cluster east; add to spec.inbound.rules: {\"application\": \"orders\", \"namespace\": \"shop\", \"cluster\": \"east\"}",
        ),
        (
            &trust(),
            east(Some("orders")),
            "application orders of namespace shop, cluster east; start the operator with --cluster-name, and add a rule that names the other cluster",
        ),
    ];
    for (trust, caller, rest) in rows {
        let message = format!("no rule of InboundAccessPolicy api admits {rest}");
        says(&one(trust, json!({}), &caller), Code::NoRuleMatched, &message);
    }
    let rules = json!({"inbound": {"rules": [{"application": "a"}, {"application": "orders", "cluster": "west"}]}});
    says(
        &one(&trust(), rules, &pods("orders")),
        Code::NoRuleMatched,
        "no rule of InboundAccessPolicy api admits application orders of namespace shop; InboundAccessPolicy api, spec.inbound.rules[1] names a cluster and matches nobody, as this one has no name (--cluster-name); add to spec.inbound.rules: {\"application\": \"orders\", \"namespace\": \"shop\"}",
    );
    let here = Workload { cluster: Some("west".to_owned()), ..workload(Some("orders"), "shop") };
    let rule = rule_for(&here, "timbr", &named).expect("a rule");
    assert_eq!((rule.namespace.as_deref(), rule.cluster), (Some("shop"), None));
}

#[test]
fn an_application_is_told_what_is_missing() {
    let unregistered = Trust { registered: Default::default(), ..trust() };
    let app = |claims: Value| {
        let mut all = json!({"idtyp": "app"});
        all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
        token(all)
    };
    let named = json!({"inbound": {"rules": [{"application": "a"}, {"application": "orders", "namespace": "shop"}]}});
    says(
        &one(&unregistered, named.clone(), &app(json!({"azp": CLIENT}))),
        Code::CallerUnknown,
        &format!(
            "no rule of InboundAccessPolicy api names the client id of application {CLIENT}; to let it in, add to its rule: clientId: {CLIENT}"
        ),
    );
    let shown = Trust { cluster: Some("west".to_owned()), ..unregistered.clone() };
    says(
        &one(&shown, named.clone(), &app(json!({"azp": CLIENT, "azp_name": "west:shop:orders"}))),
        Code::CallerUnknown,
        &format!(
            "no rule of InboundAccessPolicy api names the client id of application {CLIENT}; the name in the token would match InboundAccessPolicy api, spec.inbound.rules[1], but whoever registers an application chooses its name; to let it in, add to its rule: clientId: {CLIENT}"
        ),
    );
    says(
        &one(&unregistered, named.clone(), &app(json!({}))),
        Code::CallerUnknown,
        "the token has no client id (azp, appid), so no rule of InboundAccessPolicy api can name its application",
    );
    // What is no id is quoted.
    says(
        &one(&unregistered, named.clone(), &app(json!({"azp": "x\u{202e}\n$(A)"}))),
        Code::CallerUnknown,
        "no rule of InboundAccessPolicy api names the client id of application \"x  $(A)\"; to let it in, add to its rule: clientId: \"x  $(A)\"",
    );
    // A registered one is known by its names.
    assert_eq!(one(&trust(), named, &app(json!({"azp": CLIENT.to_uppercase()}))).code, Code::RuleMatched);
}

#[test]
fn another_issuer_is_named() {
    let rules = json!({"inbound": {"rules": [{"application": "a"}, {"application": "orders", "clientId": CLIENT}]}});
    let minted = token(json!({"iss": "https://evil.example.com", "azp": CLIENT, "idtyp": "app"}));
    says(
        &one(&trust(), rules.clone(), &minted),
        Code::IssuerNotTrusted,
        &format!(
            "InboundAccessPolicy api, spec.inbound.rules[1] names application {CLIENT}, and takes no token of \"https://evil.example.com\" for it, but of the directory in its tenantId, else of the one that people sign in to ({DIRECTORY}); set tenantId to the directory that issues the token, if it is to be trusted"
        ),
    );
    let unknown = Trust { directory: None, ..trust() };
    assert!(
        one(&unknown, rules, &minted).message.contains("(unknown: no AzureSso has a GUID as tenantId)"),
        "no directory is named"
    );
    let everybody = json!({"allowAllUsers": true});
    let user = token(json!({"iss": "https://evil.example.com", "scp": "use", "upn": "ann"}));
    says(
        &one(&trust(), everybody.clone(), &user),
        Code::IssuerNotTrusted,
        &format!(
            "users come in by tokens of the directory that people sign in to, {DIRECTORY}, and the token of user \"ann\" is of \"https://evil.example.com\""
        ),
    );
    says(
        &one(&unknown, everybody, &user),
        Code::IssuerNotTrusted,
        "users come in by tokens of the directory that people sign in to, which is not known, and the token of user \"ann\" is of \"https://evil.example.com\"; add an AzureSso, with the GUID of the directory as tenantId",
    );
}

#[test]
fn a_user_is_told_what_is_missing() {
    let group = "55555555-0000-4000-8000-00000000000e";
    let listed = json!({"claims": {"groups": [{"id": DIRECTORY}, {"id": group}]}});
    says(
        &one(&trust(), json!({}), &token(json!({"scp": "use"}))),
        Code::UserNotListed,
        "InboundAccessPolicy api admits no users, and so not user \"s\"; list groups in spec.claims.groups, or set spec.allowAllUsers",
    );
    says(
        &one(&trust(), listed.clone(), &token(json!({"scp": "use"}))),
        Code::UserNotListed,
        "user \"s\" is a direct member of no group that InboundAccessPolicy api lists; membership through another group does not count; add a group of theirs to spec.claims.groups, or them to a listed one",
    );
    says(
        &one(&trust(), listed.clone(), &token(json!({"scp": "use", "hasgroups": true}))),
        Code::GroupsNotInToken,
        "InboundAccessPolicy api lists groups, and the token of user \"s\" does not: it has more than a token can hold; in the app registration, let tokens hold only the groups that are assigned to the application",
    );
    says(
        &one(&trust(), listed, &token(json!({"scp": "use", "groups": ["x", group]}))),
        Code::GroupMatched,
        "user \"s\" may use Api, by InboundAccessPolicy api, spec.claims.groups[1]",
    );
}

/// Only the directory that applications are registered in can say who they are.
#[test]
fn a_registered_id_of_another_issuer_is_nobody() {
    let rules = json!({"inbound": {"rules": [{"application": "orders", "namespace": "shop"}]}});
    let minted = token(json!({"iss": "https://evil.example.com", "azp": CLIENT, "idtyp": "app"}));
    assert_eq!(one(&trust(), rules.clone(), &minted).code, Code::CallerUnknown);
    let unknown = Trust { directory: None, ..trust() };
    assert_eq!(one(&unknown, rules.clone(), &token(json!({"azp": CLIENT, "idtyp": "app"}))).code, Code::CallerUnknown);
    // A user of a registered application is not the application.
    assert_eq!(one(&trust(), rules, &token(json!({"azp": CLIENT, "scp": "use"}))).code, Code::UserNotListed);
}
