//! The list says who comes in, and so do the decisions.

use proptest::prelude::*;
use timbr_identity::{
    api::PolicyTarget,
    policy::{
        Caller, Claims, Code, Directory, Door, Entry, Groups, Inert, KnownBy, Policy, State, Trust, Who, Workload,
        decide, listing,
    },
};

use super::{laws::world, question::with};

/// What stands for all, as one.
fn one(name: &str) -> String {
    if name == "*" { "anything".to_owned() } else { name.to_owned() }
}

/// Somebody of whom an entry speaks; `None`: nobody knows who issues their tokens.
fn example(entry: &Entry) -> Option<Caller> {
    let issuer = |directory: &Option<String>| Some(Directory::default().issuers(directory.as_ref()?)[1].clone());
    Some(match (&entry.known_by, &entry.who) {
        (KnownBy::ClientId { client_id, directory }, _) => Caller::Token(Box::new(Claims {
            issuer: issuer(directory)?,
            client: Some(client_id.clone()),
            app_only: true,
            ..Claims::default()
        })),
        (KnownBy::Token { directory }, who) => {
            let groups = match who {
                Who::Group { id } => vec![id.clone()],
                _ => vec![],
            };
            Caller::Token(Box::new(Claims {
                issuer: issuer(directory)?,
                groups: Groups::Listed(groups),
                ..Claims::default()
            }))
        }
        (KnownBy::Name, Who::Application { application, namespace, cluster }) => Caller::Workload(Workload {
            application: Some(one(application)),
            namespace: one(namespace),
            cluster: cluster.clone(),
        }),
        (KnownBy::Name, _) => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whoever is listed comes in by what lists them, unless that is inert; and gets what it grants.
    #[test]
    fn whoever_is_listed_comes_in(world in world()) {
        with(&world, |trust, target, policies| {
            for entry in listing(trust, target, policies).1 {
                let Some(caller) = example(&entry) else {
                    prop_assert!(entry.inert.is_some());
                    continue;
                };
                let decision = decide(trust, target, policies, &caller);
                // Where every user comes in, nobody asks for groups.
                let is_matched = decision.matched_rules.contains(&entry.part)
                    || (decision.code == Code::AllUsers && matches!(entry.who, Who::Group { .. }));
                prop_assert_eq!(is_matched, entry.inert.is_none(), "{:?}: {}", &entry, &decision.message);
                if is_matched {
                    prop_assert!(decision.allow && entry.granted.beyond(&decision.granted).is_empty());
                }
            }
            Ok(())
        })?;
    }

    /// Nobody comes in but by what is on the list, or by the door.
    #[test]
    fn whoever_comes_in_is_listed(world in world()) {
        let decision = super::question::answer(&world);
        with(&world, |trust, target, policies| {
            let (door, entries) = listing(trust, target, policies);
            for part in &decision.matched_rules {
                prop_assert!(entries.iter().any(|entry| entry.part == *part && entry.inert.is_none()));
            }
            if decision.matched_rules.is_empty() {
                prop_assert_eq!(decision.allow, door.is_open());
            }
            prop_assert_eq!(decision.code == Code::NoPolicy, door == Door::NoPolicy);
            prop_assert_eq!(decision.code == Code::PolicyMissing, door == Door::PolicyMissing);
            prop_assert_eq!(decision.code == Code::PolicyNotAccepted, door == Door::PolicyNotAccepted);
            Ok(())
        })?;
    }
}

/// A registered application that a rule for all lets in is listed as itself.
#[test]
fn a_registered_application_is_listed_by_its_own_name() {
    let spec = serde_json::json!({"target": "Api", "inbound": {"rules": [{"application": "*", "namespace": "shop"}]}});
    let spec = serde_json::from_value(spec).expect("a spec");
    let policy =
        Policy { namespace: "timbr", name: "api", target: Some(PolicyTarget::Api), state: State::Accepted(&spec) };
    let orders = Workload { application: Some("orders".to_owned()), namespace: "shop".to_owned(), cluster: None };
    let trust = Trust {
        directory: Some("11111111-0000-4000-8000-00000000000a".to_owned()),
        registered: [("a-client".to_owned(), orders)].into(),
        ..Trust::default()
    };
    let listed = listing(&trust, PolicyTarget::Api, &[policy]).1;
    let listed: Vec<_> = listed.iter().map(|entry| format!("{}, by {}", entry.who, entry.known_by)).collect();
    assert_eq!(
        listed,
        [
            "every application of namespace shop, by its name",
            "application orders of namespace shop, by client id a-client of directory 11111111-0000-4000-8000-00000000000a",
        ]
    );
}

#[test]
fn what_lets_nobody_in_says_what_to_do() {
    let says = |inert: Inert, words: &str| assert!(inert.why().ends_with(words), "{}", inert.why());
    says(Inert::ClusterUnknown, "give this one a name (--cluster-name)");
    says(Inert::DirectoryUnknown, "a rule may name its own in tenantId");
}
