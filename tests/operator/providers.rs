//! ExternalTokenProviders of several namespaces.

use serde_json::{Value, json};
use testkit::{ControlPlane, eventually};
use tokio::sync::OnceCell;

use crate::harness::{Lab, SOON, age, condition};

const PROVIDER: &str = "externaltokenprovider/power-bi";
const ISSUER: &str = "https://sts.windows.net/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/";

fn provider() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "ExternalTokenProvider",
        "metadata": {"name": "power-bi"},
        "spec": {"displayName": "Power BI", "audiences": ["api://timbr"], "userClaim": "upn", "issuerUrl": ISSUER},
    })
}

async fn label(lab: &Lab, organization: &str) {
    let label = format!("identity.timbr.ai/organization{organization}");
    lab.plane.kubectl(&["label", "--overwrite", "namespace", &lab.namespace, &label], None).await.ok();
}

/// Reason of Accepted, codes and severities of problems, and how many pairs it has.
fn said(provider: &Value) -> (String, Vec<String>, usize) {
    let problems = provider["status"]["problems"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&condition(provider, "Accepted")["reason"]),
        problems.iter().map(|it| format!("{} {}", text(&it["code"]), text(&it["severity"]))).collect(),
        provider["status"]["holds"].as_array().map_or(0, Vec::len),
    )
}

async fn expect(lab: &Lab, reason: &str, problems: &[&str], holds: usize) {
    eventually(&format!("{}: {reason} {problems:?} {holds}", lab.namespace), SOON, async || {
        let said = said(&lab.get(PROVIDER).await);
        let is_so = said.0 == reason && said.1 == problems && said.2 == holds;
        if is_so { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
}

#[tokio::test]
async fn an_organization_has_one_provider_of_a_pair() {
    // Of its own: it would look after all namespaces of the tests.
    static OWN: OnceCell<ControlPlane> = OnceCell::const_new();
    let plane = OWN
        .get_or_init(|| ControlPlane::start_with(testkit::Options { controllers: false, ..Default::default() }))
        .await;
    let everywhere = Lab::of_all_namespaces(plane).await;
    let (first, second) = (Lab::on(plane, "first").await, Lab::on(plane, "second").await);
    first.apply(&provider()).await;
    let operator = everywhere.start().await;
    expect(&first, "Accepted", &[], 1).await;

    // Strangers are warned, both of them, and neither is told of the other's namespace.
    age().await;
    second.apply(&provider()).await;
    for (lab, other) in [(&first, &second), (&second, &first)] {
        expect(lab, "Accepted", &["Collision Warning"], 1).await;
        let status = lab.get(PROVIDER).await["status"].to_string();
        assert!(!status.contains(&other.namespace), "{status}");
    }

    // One organization: who was there first has it.
    label(&first, "=contoso").await;
    label(&second, "=contoso").await;
    expect(&first, "Accepted", &[], 1).await;
    expect(&second, "Collision", &["Collision Error"], 0).await;
    let message = condition(&second.get(PROVIDER).await, "Accepted")["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        message,
        format!(
            "issuer and audience {} api://timbr is held by an ExternalTokenProvider in another namespace of organization contoso; delete one of the two, or change this one",
            ISSUER.trim_end_matches('/')
        )
    );

    // It goes, and the other has it; the first comes back, and does not.
    first.kubectl(&["delete", PROVIDER]).await;
    expect(&second, "Accepted", &[], 1).await;
    first.apply(&provider()).await;
    expect(&first, "Collision", &["Collision Error"], 0).await;
    expect(&second, "Accepted", &[], 1).await;

    // No longer one.
    label(&second, "-").await;
    for lab in [&first, &second] {
        expect(lab, "Accepted", &["Collision Warning"], 1).await;
    }
    operator.stop().await;
}
