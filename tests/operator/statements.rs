//! Statements on their way to Timbr: the real operator, and a strict double of Timbr's REST API.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use testkit::{
    Signal, TimbrApi, eventually,
    timbr_api::{Fault, Group, SYSTEM_ONTOLOGY},
};

use crate::{
    fixtures::{CLIENT_ID, TENANT, deployment, installation, secret},
    harness::{LEASE, Lab, Operator, SOON, condition},
};

pub const RGS: &str = "rolegroupsync/groups";
const TINST: &str = "timbrinstallation/main";
/// Makes minutes of waiting a tenth of a second: the longest time limit, 300 s, is half a second.
pub const FAST: &str = "--clock-rate=600";
/// Everything that a statement may wait for is long over by then.
const LONG_OVER: Duration = Duration::from_secs(6);

pub fn groups(mappings: Value) -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "RoleGroupSync",
        "metadata": {"name": "groups"},
        "spec": {
            "tenantId": TENANT,
            "clientId": CLIENT_ID,
            "clientSecretRef": {"name": "entra", "key": "client-secret"},
            "mappings": mappings,
        },
    })
}

pub fn editor(group: &str) -> Value {
    json!({"role": "editor", "group": {"name": group}})
}

/// A namespace with a server and the API key, and an installation whose API is at this address.
pub async fn lab(url: &str, key: &str) -> Lab {
    let lab = Lab::new("statements").await;
    lab.apply(&deployment("timbr-server", &["timbr"])).await;
    lab.apply(&secret("entra", "client-secret", "s3cr3t")).await;
    lab.apply(&secret("timbr-api-key", "key", key)).await;
    let sql = json!({"url": url, "tokenSecretRef": {"name": "timbr-api-key", "key": "key"}});
    lab.apply(&installation("main", json!({"sql": sql}))).await;
    lab
}

/// Flags of an operator that is slow enough that no answer is given up while a test looks, and whose lease is
/// over soon when it ends.
fn slow() -> Vec<&'static str> {
    LEASE.into_iter().chain(["--clock-rate=60", "--allowed-sql-hosts=127.0.0.1"]).collect()
}

async fn start(lab: &Lab) -> Operator {
    lab.start_with(lab.account.kubeconfig.clone(), &[FAST, "--allowed-sql-hosts=127.0.0.1"]).await
}

/// Waits until a role's mapping is in this state, and returns it.
pub async fn mapped(lab: &Lab, role: &str, state: &str) -> Value {
    eventually(&format!("role {role} is {state}"), SOON, async || {
        let object = lab.get(RGS).await;
        let mappings = object["status"]["mappings"].as_array().cloned().unwrap_or_default();
        let found = mappings.into_iter().find(|mapping| mapping["role"] == role).unwrap_or_default();
        if found["state"] == state { Ok(found) } else { Err(object["status"].to_string()) }
    })
    .await
}

/// The statements that arrived, whatever came of them.
fn arrived(api: &TimbrApi) -> Vec<String> {
    api.received().into_iter().filter_map(|received| Some(received.sql).filter(|sql| !sql.is_empty())).collect()
}

/// Two of one reason are no series of one: each has its own words.
#[tokio::test]
async fn every_warning_is_an_event_of_its_own() {
    let api = TimbrApi::start();
    let lab = lab(api.url(), api.key()).await;
    let operator = start(&lab).await;
    let mapping = |role: &str| json!({"role": role, "group": {"name": "Timbr"}});
    let sql = json!({"url": api.url(), "tokenSecretRef": {"name": "timbr-api-key", "key": "key"}, "allowedRoles": ["editor"]});
    lab.apply(&installation("main", json!({"sql": sql}))).await;
    lab.apply(&groups(json!([mapping("author"), mapping("viewer")]))).await;
    let notes = eventually("there are Events", SOON, async || {
        let events = lab.kubectl(&["get", "events.events.k8s.io", "-o", "json"]).await;
        let events: Value = serde_json::from_str(&events).expect("JSON");
        let items = events["items"].as_array().expect("items").iter();
        let ours = items.filter(|event| event["reason"] == "RoleNotAllowed");
        let notes: Vec<String> = ours.filter_map(|event| event["note"].as_str().map(str::to_owned)).collect();
        if notes.len() == 2 { Ok(notes) } else { Err(format!("{notes:?}")) }
    })
    .await;
    for role in ["author", "viewer"] {
        assert!(notes.iter().any(|note| note.contains(role)), "{role}: {notes:?}");
    }
    operator.stop().await;
}

#[tokio::test]
async fn mappings_are_run_one_a_request_once_the_pods_have_their_variables() {
    let api = TimbrApi::start().with_roles(["editor", "viewer", "guest"]);
    let lab = lab(api.url(), api.key()).await;
    lab.kubectl(&["rollout", "pause", "deployment/timbr-server"]).await;
    let operator = start(&lab).await;
    lab.apply(&groups(json!([
        editor("Timbr Editors"),
        {"role": "viewer", "group": {"id": "12345678-1234-1234-1234-123456789abc"}},
        {"role": "guest", "group": {"email": "guests@contoso.com"}},
        {"role": "admin", "group": {"name": "Timbr Administrators"}},
    ])))
    .await;
    lab.wait_condition(RGS, "RolledOut", "False", "DeploymentPaused").await;
    let waiting = mapped(&lab, "editor", "Pending").await;
    assert_eq!(waiting["message"], "not sent yet: it waits until pods of timbr-server run with the variables");
    assert_eq!(arrived(&api), [] as [&str; 0]);
    lab.kubectl(&["rollout", "resume", "deployment/timbr-server"]).await;
    lab.wait(RGS, "Ready").await;
    assert_eq!(
        api.executed(),
        [
            "ALTER ROLE `editor` SYNC name = 'Timbr Editors'",
            "ALTER ROLE `viewer` SYNC id = '12345678-1234-1234-1234-123456789abc'",
            "ALTER ROLE `guest` SYNC email = 'guests@contoso.com'",
        ]
    );
    assert_eq!(api.violations(), [] as [&str; 0]);
    assert!(api.received().iter().all(|received| received.ontology == SYSTEM_ONTOLOGY));
    let status = lab.get(RGS).await["status"].clone();
    let states: Vec<&Value> = status["mappings"].as_array().expect("mappings").iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["Applied", "Applied", "Applied", "Manual"]);
    // Nobody becomes administrator unless it is said that somebody may.
    assert_eq!(status["statements"], json!(["ALTER ROLE `admin` SYNC name = 'Timbr Administrators'"]));
    assert_eq!(status["problems"][0]["code"], "SingleSignOnMissing");
    assert_eq!(status["problems"][1]["code"], "RoleNotAllowed");

    // Said again by nobody: a restart sends nothing.
    operator.stop().await;
    let flags = [FAST, "--allowed-sql-hosts=127.0.0.1", "--log-level=trace"];
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &flags).await;
    operator.looked(1).await;
    assert_eq!(api.executed().len(), 3);

    // A synchronisation that is asked for, once for each role that is mapped.
    lab.kubectl(&["annotate", RGS, "identity.timbr.ai/sync-requested-at=now"]).await;
    let results = eventually("the roles are synchronised", SOON, async || {
        let sync = lab.get(RGS).await["status"]["sync"].clone();
        let results = sync["results"].as_array().cloned().unwrap_or_default();
        let states: Vec<&str> = results.iter().map(|it| it["state"].as_str().unwrap_or_default()).collect();
        if states == ["Applied", "Applied", "Applied", "Manual"] { Ok(sync) } else { Err(sync.to_string()) }
    })
    .await;
    assert_eq!(results["requestedAt"], "now");
    assert_eq!(api.synced(), ["editor", "viewer", "guest"]);

    // One is changed, one is removed.
    lab.apply(&groups(json!([
        editor("Timbr Authors"),
        {"role": "viewer", "group": {"id": "12345678-1234-1234-1234-123456789abc"}},
    ])))
    .await;
    eventually("the change has arrived", SOON, async || {
        let mappings = api.mappings();
        if mappings["editor"] == Group::Name("Timbr Authors".to_owned()) {
            Ok(())
        } else {
            Err(format!("{mappings:?}"))
        }
    })
    .await;
    lab.wait(RGS, "Ready").await;
    let status = lab.get(RGS).await["status"].clone();
    assert_eq!(status["orphanedMappings"][0]["role"], "guest");
    let orphaned = status["problems"].as_array().expect("problems").iter().find(|it| it["code"] == "MappingOrphaned");
    assert_eq!(
        orphaned.expect("a warning")["message"],
        "role guest is still mapped to group guests@contoso.com in Timbr, which has no statement to remove a mapping; map the role to another group, or ask Timbr's support"
    );
    assert_eq!(api.executed().len(), 3 + 3 + 1);
    assert_eq!(api.violations(), [] as [&str; 0]);
    operator.stop().await;
    let log = operator.process.stderr() + &operator.process.stdout();
    assert!(log.contains("SYNC ROLE `editor`") && !log.contains(api.key()), "the key is logged");
}

/// What each fault means, and that a statement is sent four times at most.
#[tokio::test]
async fn each_fault_is_told_and_bounded() {
    const FAILED: &str = "Timbr refused: ";
    const UNKNOWN: &str = "no answer from Timbr (";
    let faults: [(&str, Fault, &str, &str); 8] = [
        ("refused", Fault::Refuse(403, "no".to_owned()), "Failed", FAILED),
        ("credential", Fault::RejectCredential, "Failed", FAILED),
        ("HTML", Fault::Html, "Failed", FAILED),
        ("gateway", Fault::Refuse(504, "gateway".to_owned()), "Unknown", UNKNOWN),
        ("lost", Fault::Lose, "Unknown", UNKNOWN),
        ("hang", Fault::Hang, "Unknown", UNKNOWN),
        ("truncated", Fault::Truncate, "Unknown", UNKNOWN),
        ("huge", Fault::Huge, "Failed", FAILED),
    ];
    let run = async |(name, fault, state, beginning): (&'static str, Fault, &'static str, &'static str)| {
        let api = TimbrApi::start().with_roles(["editor"]);
        api.always(fault);
        let lab = lab(api.url(), api.key()).await;
        let operator = start(&lab).await;
        lab.apply(&groups(json!([editor("Timbr Editors")]))).await;
        let mapping = eventually(&format!("{name}: nothing more is tried"), SOON, async || {
            let mapping = mapped(&lab, "editor", state).await;
            if mapping["sends"] == 4 { Ok(mapping) } else { Err(mapping.to_string()) }
        })
        .await;
        let message = mapping["message"].as_str().expect("a message");
        assert!(message.starts_with(beginning), "{name}: {message}");
        assert!(message.contains("sent 4 times, and not again by itself"), "{name}: {message}");
        assert!(!message.contains(api.key()), "{name}");
        tokio::time::sleep(LONG_OVER).await;
        let sends = api.received().len();
        assert_eq!(sends, 4, "{name}");
        // Ready all the same: the variables are there; and a Warning says what is not.
        let object = lab.get(RGS).await;
        assert_eq!(condition(&object, "Ready")["status"], "True", "{name}");
        let code = if state == "Failed" { "MappingFailed" } else { "MappingUnknown" };
        assert!(object["status"]["problems"].to_string().contains(code), "{name}: {}", object["status"]["problems"]);
        // Mended, and asked for anew.
        api.recover();
        lab.kubectl(&["annotate", RGS, "identity.timbr.ai/sync-requested-at=1"]).await;
        mapped(&lab, "editor", "Applied").await;
        assert_eq!(api.mappings(), BTreeMap::from([("editor".to_owned(), Group::Name("Timbr Editors".to_owned()))]));
        eventually(&format!("{name}: synchronised"), SOON, async || {
            if api.synced() == ["editor"] { Ok(()) } else { Err(format!("{:?}", api.synced())) }
        })
        .await;
        assert_eq!(api.violations(), [] as [&str; 0], "{name}");
        operator.stop().await;
        name
    };
    use futures::StreamExt as _;
    let ended: Vec<&str> = futures::stream::iter(faults).map(run).buffer_unordered(4).collect().await;
    println!("{} faults, each sent 4 times at most", ended.len());
    assert_eq!(ended.len(), 8);
}

#[tokio::test]
async fn a_lost_answer_is_made_good() {
    let api = TimbrApi::start().with_roles(["editor"]);
    api.fail_next(Fault::Lose);
    let lab = lab(api.url(), api.key()).await;
    let operator = start(&lab).await;
    lab.apply(&groups(json!([editor("Timbr Editors")]))).await;
    let mapping = mapped(&lab, "editor", "Applied").await;
    assert_eq!(mapping["sends"], 2);
    assert_eq!(api.executed().len(), 2);
    operator.stop().await;
}

/// The operator dies while a statement is on its way: it may have arrived, and is sent again.
#[tokio::test]
async fn a_restart_in_mid_statement_keeps_count() {
    let api = TimbrApi::start().with_roles(["editor"]);
    api.always(Fault::Hang);
    let lab = lab(api.url(), api.key()).await;
    lab.apply(&groups(json!([editor("Timbr Editors")]))).await;
    let flags = slow();
    for life in 1..=3 {
        let operator = lab.start_with(lab.account.kubeconfig.clone(), &flags).await;
        eventually(&format!("life {life} has sent"), SOON, async || {
            let sends = api.received().len();
            if sends >= life { Ok(()) } else { Err(format!("{sends} sends")) }
        })
        .await;
        let status = lab.get(RGS).await["status"]["mappings"][0].clone();
        assert_eq!(
            (&status["state"], &status["sends"]),
            (&json!("Pending"), &json!(life)),
            "on record before it is sent"
        );
        operator.process.stop(Signal::KILL, Duration::from_secs(5)).await;
    }
    assert_eq!(api.received().len(), 3);
    api.recover();
    let operator = lab.start_with(lab.account.kubeconfig.clone(), &flags).await;
    mapped(&lab, "editor", "Applied").await;
    assert_eq!(api.received().len(), 4);
    assert_eq!(api.executed(), ["ALTER ROLE `editor` SYNC name = 'Timbr Editors'"]);
    operator.stop().await;
}

/// Frozen with a statement on its way; the other replica takes it over from the record.
#[tokio::test]
async fn a_leader_that_was_frozen_in_mid_statement_sends_no_more() {
    let api = TimbrApi::start().with_roles(["editor", "viewer"]);
    api.always(Fault::Hang);
    let lab = lab(api.url(), api.key()).await;
    let other = lab.another_account("other").await;
    lab.grant_own(&other).await;
    let flags = slow();
    let leader = lab.start_with(lab.account.kubeconfig.clone(), &flags).await;
    lab.apply(&groups(json!([editor("Timbr Editors"), {"role": "viewer", "group": {"name": "Timbr Viewers"}}]))).await;
    eventually("the leader has sent", SOON, async || {
        if api.received().len() == 1 { Ok(()) } else { Err(format!("{:?}", api.received())) }
    })
    .await;
    leader.process.signal(Signal::STOP);
    api.recover();
    let standby = lab.start_with(other.kubeconfig.clone(), &flags).await;
    mapped(&lab, "viewer", "Applied").await;
    let mapping = mapped(&lab, "editor", "Applied").await;
    assert_eq!(mapping["sends"], 2);
    assert_eq!(arrived(&api).len(), 3, "{:?}", arrived(&api));
    leader.process.signal(Signal::CONT);
    leader.process.wait_for_line(|line| line.contains("leading no more"), SOON).await;
    tokio::time::sleep(LONG_OVER).await;
    assert_eq!(arrived(&api).len(), 3, "{:?}", arrived(&api));
    assert_eq!(api.violations(), [] as [&str; 0]);
    leader.stop().await;
    standby.stop().await;
}

/// A finished rollout does not mean that the API answers: what surely was not sent is not counted.
#[tokio::test]
async fn an_api_that_is_not_there_yet_is_waited_for() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address: SocketAddr = free.local_addr().expect("an address");
    drop(free);
    let lab = lab(&format!("http://{address}"), "tk_placeholder").await;
    let operator = start(&lab).await;
    lab.apply(&groups(json!([editor("Timbr Editors")]))).await;
    eventually("it is said", SOON, async || {
        let mapping = mapped(&lab, "editor", "Pending").await;
        let message = mapping["message"].as_str().unwrap_or_default().to_owned();
        if message.starts_with("not sent yet: Timbr's REST API could not be reached (")
            && mapping.get("sends").is_none()
        {
            Ok(())
        } else {
            Err(mapping.to_string())
        }
    })
    .await;
    let api = TimbrApi::start_at(address).with_roles(["editor"]);
    lab.apply(&secret("timbr-api-key", "key", api.key())).await;
    mapped(&lab, "editor", "Applied").await;
    assert_eq!(api.executed().len(), 1);
    operator.stop().await;
}

#[tokio::test]
async fn the_key_goes_to_no_host_that_nobody_allowed() {
    let api = TimbrApi::start().with_roles(["editor"]);
    let lab = lab(api.url(), api.key()).await;
    let operator = lab.start().await;
    lab.apply(&groups(json!([editor("Timbr Editors")]))).await;
    let message = lab.wait_condition(TINST, "Accepted", "False", "InvalidSpec").await;
    assert_eq!(
        message,
        format!(
            "spec.sql.url: the host receives Timbr's API key, so it must be a Service of this namespace, written SERVICE.{}.svc, or a host that the operator is told to allow (--allowed-sql-hosts)",
            lab.namespace
        )
    );
    let mapping = mapped(&lab, "editor", "Pending").await;
    assert_eq!(
        mapping["message"],
        "not sent yet: TimbrInstallation main is not accepted, or its API key is missing; its status says what to correct"
    );
    operator.stop().await;

    let operator = start(&lab).await;
    mapped(&lab, "editor", "Applied").await;
    // Without its key nothing is sent, and the installation says so.
    lab.kubectl(&["delete", "secret", "timbr-api-key"]).await;
    let message = lab.wait_condition(TINST, "ReferencesResolved", "False", "SecretNotFound").await;
    assert!(message.contains("Secret timbr-api-key does not exist"), "{message}");
    operator.stop().await;
    assert_eq!(api.executed().len(), 1);
}
