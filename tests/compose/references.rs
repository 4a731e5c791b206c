//! Secrets that resources name: which may be used, and what is said of those that may not.

use serde_json::json;
use timbr_identity::{
    api::Kind,
    compose::{LiveSecret, Lookup, compose},
};

use crate::{
    fixtures::{condition, key, secret, verdict},
    kinds::{principal, resource, settle, vault, world},
};

type Change = fn(&mut LiveSecret);

#[test]
fn which_secrets_may_be_named() {
    // A Secret, whether the operator wants Secrets labelled, and what is said.
    let rows: [(Change, bool, Option<&str>); 7] = [
        (|_| (), false, None),
        (|secret| secret.type_ = "identity.timbr.ai/credential".to_owned(), false, None),
        (
            |secret| secret.type_ = "kubernetes.io/dockerconfigjson".to_owned(),
            false,
            Some(
                "has type kubernetes.io/dockerconfigjson, which may not be referenced; put the value into a Secret of type Opaque",
            ),
        ),
        (
            |secret| secret.ours = true,
            false,
            Some("is made by this operator and may not be referenced; name the Secret that you created"),
        ),
        (|secret| secret.opted_in = true, false, None),
        (|secret| secret.opted_in = true, true, None),
        (
            |_| (),
            true,
            Some(
                "lacks the label identity.timbr.ai/credential: \"true\", which this operator requires of Secrets that are referenced",
            ),
        ),
    ];
    for (change, opt_in, refused) in rows {
        let mut world = world(vec![vault(0, "a", "Remove")]);
        let mut named = secret(&[("client-secret", "x")]);
        change(&mut named);
        world.secrets.insert("a".to_owned(), Lookup::Found(named.clone()));
        let mut snapshot = world.snapshot(&key(None));
        snapshot.settings.require_secret_opt_in = opt_in;
        let judgement = compose(&snapshot).resources.remove(0);
        let found = (judgement.references.reason.as_str(), judgement.references.message.as_str());
        match refused {
            None => assert_eq!(found.0, "Resolved", "{named:?} {opt_in}"),
            Some(cause) => {
                let message = format!("spec.clientSecretRef: Secret a {cause}");
                assert_eq!(found, ("SecretNotPermitted", message.as_str()));
            }
        }
    }
}

/// A client secret named by mistake would be written in plain text as a client id.
#[test]
fn a_client_id_is_a_guid() {
    for (value, resolved) in [("11111111-2222-3333-4444-555555555555", true), ("hunter2", false)] {
        let mut spec = principal("a");
        spec.as_object_mut().expect("a mapping").remove("clientId");
        spec["clientIdRef"] = json!({"name": "b", "key": "id"});
        spec["vaultUrl"] = json!("https://contoso.vault.azure.net");
        let mut world = world(vec![resource(Kind::KeyVaultBinding, "vault", 0, spec)]);
        world.secrets.insert("b".to_owned(), Lookup::Found(secret(&[("id", value)])));
        settle(&mut world);
        let message = &condition(world.status("vault"), "ReferencesResolved").expect("it").message;
        assert!(!message.contains("hunter2"), "{message}");
        let expected = if resolved { "True/Resolved" } else { "False/SecretValueInvalid" };
        assert_eq!(verdict(world.status("vault"), "ReferencesResolved"), expected, "{message}");
    }
}

/// One that others build on and that cannot be read is there: nobody is told to create another.
#[test]
fn one_that_cannot_be_read_is_not_missing() {
    let unreadable = |kind, name| {
        let mut lead = resource(kind, name, 0, json!({}));
        lead.spec = Err("spec: expected a mapping".into());
        lead
    };
    let from = || json!({"credentialsFrom": {"azureSso": "lead"}});
    let mut vault = from();
    vault["vaultUrl"] = json!("https://contoso.vault.azure.net");
    let rows = [
        (Kind::AzureSso, Kind::RoleGroupSync, from(), "spec.credentialsFrom.azureSso: AzureSso lead is not accepted"),
        (Kind::AzureSso, Kind::KeyVaultBinding, vault, "spec.credentialsFrom.azureSso: AzureSso lead is not accepted"),
        (
            Kind::AzureSso,
            Kind::DatabricksPassthrough,
            json!({"workspaceHost": "adb-1.azuredatabricks.net"}),
            "spec: AzureSso lead is not accepted",
        ),
        (
            Kind::JwtAuthentication,
            Kind::JwtTenant,
            json!({"tenant": "contoso"}),
            "spec: JwtAuthentication lead is not accepted",
        ),
    ];
    for (lead, kind, spec, beginning) in rows {
        for partial in [false, true] {
            let mut world = world(vec![unreadable(lead, "lead"), resource(kind, "follower", 1, spec.clone())]);
            world.partial = partial;
            settle(&mut world);
            let references = condition(world.status("follower"), "ReferencesResolved").expect("it");
            assert_eq!(references.status, "False", "{kind}");
            assert!(references.message.starts_with(beginning), "{kind}: {}", references.message);
        }
    }
}

/// Values up to 64 KiB, to the byte.
#[test]
fn how_long_a_value_may_be() {
    for (length, resolved) in [(65_536, true), (65_537, false)] {
        let mut world = world(vec![vault(0, "a", "Remove")]);
        let long = "x".repeat(length);
        world.secrets.insert("a".to_owned(), Lookup::Found(secret(&[("client-secret", &long)])));
        settle(&mut world);
        let expected = if resolved { "True/Resolved" } else { "False/SecretValueInvalid" };
        assert_eq!(verdict(world.status("vault"), "ReferencesResolved"), expected, "{length}");
    }
}
