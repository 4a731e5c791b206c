//! Laws that hold whatever the policies say and whoever asks.

use proptest::{collection::vec, option, prelude::*, sample::select};
use timbr_identity::{
    api::PolicyTarget,
    policy::{Decision, Policy as Guard, State, decide, rule_for},
};

use super::{
    oracle::oracle,
    question::{self, HOME, answer, caller, trust},
    world::{Caller, Issuer, Policy, Rule, World},
};

const APPLICATIONS: [&str; 3] = ["orders", "billing", "*"];
const NAMESPACES: [&str; 3] = ["timbr", "shop", "*"];
const CLUSTERS: [&str; 2] = ["west", "east"];
const GUIDS: [&str; 3] = [
    "a0000000-0000-4000-8000-000000000001",
    "A0000000-0000-4000-8000-000000000001",
    "b0000000-0000-4000-8000-000000000002",
];

fn rule() -> impl Strategy<Value = Rule> {
    let names = (select(&APPLICATIONS[..]), option::of(select(&NAMESPACES[..])), option::of(select(&CLUSTERS[..])));
    let ids = (option::of(select(&GUIDS[..])), option::of(select(&GUIDS[..])));
    let grants = (vec(select(vec!["r", "s"]), 0..2), vec(select(vec!["t", "u"]), 0..2));
    (names, ids, grants).prop_map(|((application, namespace, cluster), (client, tenant), (roles, scopes))| Rule {
        application,
        namespace,
        cluster,
        client,
        tenant,
        roles,
        scopes,
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let flags = (prop::bool::weighted(0.8), prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    let target = select(vec!["Api", "Api", "Api", "Server"]);
    (target, flags, vec(rule(), 0..3), vec(select(&GUIDS[..]), 0..3)).prop_map(
        |(target, (valid, audit, all_users), rules, groups)| Policy { target, valid, audit, rules, all_users, groups },
    )
}

fn issuer() -> impl Strategy<Value = Issuer> {
    prop_oneof![
        3 => (select(&GUIDS[..]), 1..=2u8).prop_map(|(tenant, version)| Issuer::Entra { tenant, version }),
        1 => Just(Issuer::Other("https://login.example.com")),
    ]
}

fn who() -> impl Strategy<Value = Caller> {
    let application = option::of(select(vec!["orders", "billing"]));
    let namespace = select(vec!["timbr", "shop"]);
    let issuers = vec!["https://kubernetes.default.svc", "https://oidc.east.example.com", "https://other.example.com"];
    prop_oneof![
        (application, namespace.clone())
            .prop_map(|(application, namespace)| Caller::Workload { application, namespace }),
        (select(issuers), namespace, select(vec!["orders", "billing"]))
            .prop_map(|(issuer, namespace, name)| Caller::ServiceAccount { issuer, namespace, name }),
        (issuer(), select(&GUIDS[..]), option::of(Just("west:timbr:orders")))
            .prop_map(|(issuer, client, display)| Caller::Application { issuer, client, display }),
        (issuer(), option::of(vec(select(&GUIDS[..]), 0..3)))
            .prop_map(|(issuer, groups)| Caller::User { issuer, groups }),
    ]
}

pub fn world() -> impl Strategy<Value = World> {
    let installation = (option::of(Just("west")), option::of(select(&GUIDS[..])), any::<bool>());
    (installation, vec(policy(), 0..4), who()).prop_map(|((cluster, tenant, closed), policies, caller)| World {
        cluster,
        tenant,
        closed_without_policy: closed,
        target: "Api",
        policies,
        caller,
    })
}

/// The crate's answer when these policies, by their places, were removed after they had been enforced.
fn answer_without(world: &World, removed: &[usize]) -> Decision {
    let specs: Vec<_> = world.policies.iter().map(question::spec).collect();
    let names: Vec<_> = (0..specs.len()).map(question::name).collect();
    let guards = specs.iter().enumerate().map(|(i, spec)| {
        let valid = if world.policies[i].valid { State::Accepted(spec) } else { State::Invalid };
        let state = if removed.contains(&i) { State::Removed } else { valid };
        Guard { namespace: HOME, name: &names[i], target: Some(spec.target), state }
    });
    decide(&trust(world), PolicyTarget::Api, &guards.collect::<Vec<_>>(), &caller(&world.caller))
}

/// Access, and everything that is granted with it.
fn gets(decision: &Decision) -> (bool, Vec<String>) {
    (decision.allow, decision.granted.roles.iter().chain(&decision.granted.scopes).cloned().collect())
}

fn is_at_most(less: &Decision, more: &Decision) -> bool {
    let (less, more) = (gets(less), gets(more));
    less.0 <= more.0 && less.1.iter().all(|grant| more.1.contains(grant))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_oracle_agrees(world in world()) {
        let (decision, verdict) = (answer(&world), oracle(&world));
        prop_assert_eq!(decision.allow, verdict.allow, "{}", decision.message);
        prop_assert!(decision.granted.roles.iter().map(String::as_str).eq(verdict.roles));
        prop_assert!(decision.granted.scopes.iter().map(String::as_str).eq(verdict.scopes));
    }

    /// A rule more never takes anything away, and so one less never gives anything.
    #[test]
    fn a_rule_more_never_takes_away(world in world(), more in rule(), place in any::<prop::sample::Index>()) {
        let before = answer(&world);
        let mut after = world.clone();
        if !after.policies.is_empty() {
            let policy = place.index(after.policies.len());
            after.policies[policy].rules.push(more);
            prop_assert!(is_at_most(&before, &answer(&after)));
        }
    }

    #[test]
    fn a_group_more_never_takes_away(world in world(), more in select(&GUIDS[..]), place in any::<prop::sample::Index>()) {
        let before = answer(&world);
        let mut after = world.clone();
        if !after.policies.is_empty() {
            let policy = place.index(after.policies.len());
            after.policies[policy].groups.push(more);
            prop_assert!(is_at_most(&before, &answer(&after)));
        }
    }

    #[test]
    fn order_never_matters(world in world(), turn in 0..4usize) {
        let before = answer(&world);
        let mut turned = world.clone();
        for policy in &mut turned.policies {
            policy.rules.reverse();
            policy.groups.reverse();
        }
        let turn = turn % turned.policies.len().max(1);
        turned.policies.rotate_left(turn);
        let after = answer(&turned);
        prop_assert_eq!(gets(&before), gets(&after));
        prop_assert_eq!(before.code, after.code);
        prop_assert_eq!(before.matched_rules.len(), after.matched_rules.len());
    }

    #[test]
    fn policies_of_other_components_never_matter(world in world(), mut other in policy()) {
        other.target = "Platform";
        let mut after = world.clone();
        after.policies.push(other);
        prop_assert_eq!(answer(&world), answer(&after));
    }

    /// What becomes invalid or is removed never opens anything: whoever was out stays out.
    #[test]
    fn what_is_spoilt_or_removed_never_opens(world in world(), which in vec(any::<bool>(), 4)) {
        let before = answer(&world);
        let mut spoilt = world.clone();
        for (policy, is_spoilt) in spoilt.policies.iter_mut().zip(&which) {
            policy.valid &= !is_spoilt;
        }
        prop_assert!(is_at_most(&answer(&spoilt), &before), "{}", answer(&spoilt).message);
        let gone: Vec<_> = (0..world.policies.len()).filter(|i| which[*i]).collect();
        let after = answer_without(&world, &gone);
        prop_assert!(is_at_most(&after, &before), "{}", after.message);
    }

    /// Somebody who is refused by name comes in once the rule that the refusal shows is added.
    #[test]
    fn the_missing_rule_admits(world in world()) {
        let who = caller(&world.caller);
        let timbr_identity::policy::Caller::Workload(workload) = &who else { return Ok(()) };
        let Some(missing) = rule_for(workload, HOME, &trust(&world)) else {
            prop_assert_eq!(&workload.application, &None);
            return Ok(());
        };
        let specs: Vec<_> = world.policies.iter().map(question::spec).collect();
        let mut specs: Vec<_> = specs.into_iter().filter(|spec| spec.target == PolicyTarget::Api).collect();
        let Some(first) = specs.first_mut() else { return Ok(()) };
        first.inbound.rules.push(missing);
        let guards = specs.iter().enumerate().map(|(i, spec)| Guard {
            namespace: HOME,
            name: if i == 0 { "first" } else { "another" },
            target: Some(spec.target),
            state: State::Accepted(spec),
        });
        let decision = decide(&trust(&world), PolicyTarget::Api, &guards.collect::<Vec<_>>(), &who);
        let last = format!("spec.inbound.rules[{}]", specs[0].inbound.rules.len() - 1);
        prop_assert!(decision.allow);
        prop_assert!(decision.matched_rules.iter().any(|part| part.policy == "first" && part.path == last));
    }
}
