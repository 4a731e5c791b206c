//! A key vault: whose it is, and what is allowed; each refusal has a reason and a way out.

use testkit::Azure;
use testkit::azure::{Denial, Operation, Service::Vault as There, Tenant, VaultSecret};
use timbr_identity::{
    api::CheckResult,
    compose::{Probe, VaultUse},
};

use super::{application, is, tried};

const PROBE: &str = "timbr-identity-probe";

#[tokio::test]
async fn each_use_is_allowed_or_the_reason_is_told() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    let url = format!("{}/", azure.url(There));
    let of = |what_for| Probe::Vault(application(&app), url.clone(), what_for);
    let what = "Key vault 127.0.0.1";
    let uses = [
        (VaultUse::List, "List", "List", Operation::List),
        (VaultUse::Get, "Get", "Get", Operation::Get),
        (VaultUse::Write, "Set and Delete", "Set", Operation::Set),
        (VaultUse::Write, "Set and Delete", "Delete", Operation::Delete),
    ];
    let by_policy =
        "give the application the secret permissions Get, List, Set and Delete under Access policies of the key vault";
    let denials = [
        (Denial::AccessDenied, CheckResult::Fail, by_policy),
        (Denial::ForbiddenByPolicy, CheckResult::Fail, by_policy),
        (
            Denial::ForbiddenByRbac,
            CheckResult::Fail,
            "give the application the role Key Vault Secrets Officer under Access control (IAM) of the key vault, and wait some minutes",
        ),
        (
            Denial::ForbiddenByFirewall,
            CheckResult::Unknown,
            "the key vault's firewall does not know the operator's address; Timbr's pods may come from another; add both under Networking of the key vault",
        ),
        (
            Denial::ForbiddenByConnection,
            CheckResult::Unknown,
            "the key vault is reached by a private link only, and the operator does not come by it; Timbr's pods may; check the DNS of its private endpoint",
        ),
    ];
    for (what_for, allowed, denied, operation) in uses {
        is(&tried(&azure, &of(what_for)).await, "Passed", &format!("{what} allows {allowed}"));
        for (denial, result, fix) in denials {
            azure.edit_vault(|vault| vault.deny(operation, denial));
            let outcome = tried(&azure, &of(what_for)).await;
            is(&outcome, &format!("{denial:?}"), &format!("{what} does not allow {denied}: {fix}"));
            assert_eq!(outcome.finding(), result);
            azure.edit_vault(|vault| vault.allow(operation));
            assert_eq!(tried(&azure, &of(what_for)).await.reason.as_str(), "Passed", "after {denial:?}");
        }
    }
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

/// Nothing but a secret of our own is ever written, and it is gone afterwards; reading writes nothing.
#[tokio::test]
async fn what_is_there_is_left_alone() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    let url = azure.url(There).to_owned();
    let of = |what_for| Probe::Vault(application(&app), url.clone(), what_for);
    azure.edit_vault(|vault| vault.set("datasource", VaultSecret::new("p4ssw0rd")));
    for what_for in [VaultUse::Tenant, VaultUse::List, VaultUse::Get] {
        assert_eq!(tried(&azure, &of(what_for)).await.reason.as_str(), "Passed");
    }
    assert!(azure.asked(There).iter().all(|asked| asked.starts_with("GET ")), "{:?}", azure.asked(There));
    // The second time the deleted one has its name still.
    for _ in 0..2 {
        assert_eq!(tried(&azure, &of(VaultUse::Write)).await.reason.as_str(), "Passed");
        let vault = azure.vault();
        assert_eq!(vault.secrets.keys().collect::<Vec<_>>(), ["datasource"]);
        assert_eq!(vault.deleted.keys().collect::<Vec<_>>(), [PROBE]);
    }
    // One that is there and disabled was readable.
    azure.edit_vault(|vault| {
        vault.deleted.clear();
        vault.set(PROBE, VaultSecret::new("x").disabled());
    });
    assert_eq!(tried(&azure, &of(VaultUse::Get)).await.reason.as_str(), "Passed");
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_vault_of_another_tenant_is_told_apart() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    let of = |what_for| Probe::Vault(application(&app), azure.url(There).to_owned(), what_for);
    let home = azure.tenant();
    let sentence = format!("Key vault 127.0.0.1 is a key vault of tenant {home}");
    is(&tried(&azure, &of(VaultUse::Tenant)).await, "Passed", &sentence);
    let other = Tenant::new("Fabrikam", ["fabrikam.onmicrosoft.com"]);
    azure.edit_vault(|vault| vault.tenant = other.id.clone());
    let sentence = format!(
        "Key vault 127.0.0.1 belongs to tenant \"{}\", and not to {home}; check vaultUrl and tenantId, which stand on the overview pages of the key vault (Directory ID) and of the app registration",
        other.id
    );
    is(&tried(&azure, &of(VaultUse::Tenant)).await, "VaultOfAnotherTenant", &sentence);
    let outcome = tried(&azure, &of(VaultUse::List)).await;
    assert_eq!((outcome.reason.as_str(), outcome.finding()), ("CredentialRefused", CheckResult::Fail));
    // Another service is no key vault.
    let elsewhere =
        Probe::Vault(application(&app), azure.url(testkit::azure::Service::Graph).to_owned(), VaultUse::Tenant);
    assert_eq!(tried(&azure, &elsewhere).await.reason.as_str(), "Unreadable");
}
