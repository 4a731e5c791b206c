//! Where two resources want one thing, the older one has it.

use std::cmp::Ordering;

use timbr_identity::api::{Kind, Meta};

use crate::fixtures::{at, meta};

fn aged(kind: Kind, name: &str, uid: &str, created: Option<i64>) -> Meta {
    Meta { uid: uid.to_owned(), created: created.map(at), ..meta(kind, name) }
}

#[test]
fn age_then_uid_then_kind_then_name() {
    use Kind::{AzureSso, TimbrInstallation};
    // The elder stands first.
    let table = [
        ("the time decides first", aged(TimbrInstallation, "z", "9", Some(1)), aged(AzureSso, "a", "1", Some(2))),
        ("one without a time is the youngest", aged(AzureSso, "z", "9", Some(1)), aged(AzureSso, "a", "1", None)),
        ("of one second, the uid decides", aged(AzureSso, "z", "1", Some(1)), aged(AzureSso, "a", "2", Some(1))),
        ("without times too", aged(AzureSso, "z", "1", None), aged(AzureSso, "a", "2", None)),
        ("without uids the kind decides", aged(AzureSso, "z", "", None), aged(TimbrInstallation, "a", "", None)),
        ("and within a kind the name", aged(AzureSso, "a", "", None), aged(AzureSso, "b", "", None)),
    ];
    for (why, elder, younger) in table {
        assert_eq!(elder.age_order(&younger), Ordering::Less, "{why}");
        assert_eq!(younger.age_order(&elder), Ordering::Greater, "{why}");
        assert_eq!(elder.age_order(&elder), Ordering::Equal, "{why}");
    }
}
