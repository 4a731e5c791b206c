//! What is read of a namespace: no more than a decision needs.

use std::collections::BTreeSet;

use timbr_identity::{api::Component, compose::needs};

use crate::fixtures::{installation, key};

/// The implicit installation, beside one called `a`, has nothing to read of its own. What is given up goes to whom it
/// belongs now, and so that one's Deployments are looked at too.
#[test]
fn where_something_is_given_up_everybody_s_deployments_are_read() {
    const OF_A: [&str; 3] = ["a-api", "a-platform", "a-server"];
    let usual = "timbr-server";
    let rows: [(&[&str], &[Component], Vec<&str>); 5] = [
        (&[], &[], vec![]),
        (&["a-platform"], &[], vec![]),
        (&["old"], &[], [&OF_A[..], &["old"]].concat()),
        (&[], &[Component::Server], [&OF_A[..], &[usual]].concat()),
        (&["a-platform", "old"], &[Component::Server], [&OF_A[..], &["old", usual]].concat()),
    ];
    for (managed, stable, expected) in rows {
        let managed: BTreeSet<String> = managed.iter().map(|name| (*name).to_owned()).collect();
        let stable = stable.iter().copied().collect();
        let needs = needs(&key(None), &[installation("a", "a-platform")], &[], &managed, &stable, &BTreeSet::new());
        let read: Vec<&str> = needs.deployments.iter().map(String::as_str).collect();
        assert_eq!(read, expected, "{managed:?} {stable:?}");
    }
}
