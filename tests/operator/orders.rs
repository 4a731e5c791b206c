//! A wrong rotation, a kill, a change of leaders, an outage of who is asked, and his having too much to do: whatever comes
//! in whatever order, what is known to be wrong is never delivered, and what is right is, in one rollout.

use std::time::Duration;

use serde_json::Value;
use testkit::{ServiceAccount, Signal, Writes as _, eventually};

use crate::{
    fixtures::{PLATFORM, SSO, entra, text},
    harness::{LEASE, Lab, Operator, SOON, condition},
    leader::leads,
    provider::Provider,
};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    WrongRotation,
    Kill,
    LeaderChange,
    Outage,
    TooManyRequests,
}

const ACTS: [Act; 5] = [Act::WrongRotation, Act::Kill, Act::LeaderChange, Act::Outage, Act::TooManyRequests];

/// Every order of three that begins with this one.
fn orders(first: Act) -> Vec<[Act; 3]> {
    let pairs = ACTS.into_iter().flat_map(|second| ACTS.map(|third| [first, second, third]));
    pairs.filter(|[a, b, c]| a != b && b != c && a != c).collect()
}

/// An AzureSso, who is asked about it, and two replicas.
struct Stage {
    lab: Lab,
    provider: Provider,
    accounts: [ServiceAccount; 2],
    /// The first leads.
    replicas: [Operator; 2],
}

impl Stage {
    async fn new(prefix: &str) -> Self {
        let provider = Provider::new("right 0");
        let lab = provider.lab(prefix, "right 0").await;
        let other = lab.another_account("other").await;
        lab.grant_own(&other).await;
        let accounts = [lab.account.clone(), other];
        let leader = start(&lab, &provider, &accounts[0]).await;
        leads(&leader).await;
        let standby = start(&lab, &provider, &accounts[1]).await;
        lab.wait_condition(SSO, "Verified", "True", "Verified").await;
        lab.wait_condition(SSO, "RolledOut", "True", "RolledOut").await;
        Self { lab, provider, accounts, replicas: [leader, standby] }
    }

    /// The other replica leads, and the one that has ended starts anew to stand by.
    async fn hand_over(&mut self, signal: Signal) {
        self.replicas[0].process.stop(signal, Duration::from_secs(20)).await;
        self.replicas.swap(0, 1);
        self.accounts.swap(0, 1);
        leads(&self.replicas[0]).await;
        self.replicas[1] = start(&self.lab, &self.provider, &self.accounts[1]).await;
    }

    async fn play(&mut self, act: Act, wrong: &str) {
        match act {
            Act::WrongRotation => self.lab.apply(&entra(wrong)).await,
            Act::Kill => self.hand_over(Signal::KILL).await,
            Act::LeaderChange => self.hand_over(Signal::TERM).await,
            Act::Outage => self.provider.down(true),
            Act::TooManyRequests => self.provider.busy(2),
        }
    }

    /// How many rollouts there have been, and whether any Secret of ours has such a value.
    async fn state(&self) -> (i64, Vec<String>) {
        let generation = self.lab.get(PLATFORM).await["metadata"]["generation"].as_i64().expect("a generation");
        let secrets = self.lab.list("secret").await;
        let ours = secrets.iter().filter(|secret| {
            let name = secret["metadata"]["name"].as_str().expect("a name");
            name.starts_with("timbr-platform-identity-")
        });
        (generation, ours.map(|secret| text(&secret["data"]["OAUTH_SECRET"])).collect())
    }

    async fn is_told(&self, verified: &str, delivered: &str) {
        eventually(&format!("{verified}, {delivered}"), SOON, async || {
            let sso = self.lab.get(SSO).await;
            let said = |type_: &str| {
                let condition: Value = condition(&sso, type_);
                format!("{}/{}", text_of(&condition["status"]), text_of(&condition["reason"]))
            };
            let is =
                said("Verified") == verified && said("Delivered") == delivered && said("RolledOut") == "True/RolledOut";
            if is { Ok(()) } else { Err(sso["status"].to_string()) }
        })
        .await;
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn start(lab: &Lab, provider: &Provider, account: &ServiceAccount) -> Operator {
    let flags = provider.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(LEASE).collect();
    lab.start_with(account.kubeconfig.clone(), &flags).await
}

async fn no_order_delivers_what_is_wrong(prefix: &str, first: Act) {
    let mut stage = Stage::new(prefix).await;
    let orders = orders(first);
    for (i, order) in orders.iter().enumerate() {
        let (wrong, right) = (format!("wrong {i}"), format!("right {}", i + 1));
        let (before, _) = stage.state().await;
        for act in order {
            stage.play(*act, &wrong).await;
        }
        stage.provider.down(false);
        if order.contains(&Act::WrongRotation) {
            stage.is_told("False/CheckFailed", "True/DeliveredLastGood").await;
        }
        let (now, secrets) = stage.state().await;
        assert_eq!(now, before, "{order:?}");
        assert!(!secrets.contains(&wrong), "{order:?}");
        stage.provider.accepts(&[&right]);
        stage.lab.apply(&entra(&right)).await;
        eventually("it is delivered", SOON, async || stage.state().await.1.contains(&right)).await;
        stage.is_told("True/Verified", "True/Delivered").await;
        let (now, secrets) = stage.state().await;
        assert_eq!(now, before + 1, "{order:?}");
        assert!(!secrets.contains(&wrong), "{order:?}");
    }
    let applies =
        async |account: &ServiceAccount| stage.lab.writes_of(account).await.of("deployments").succeeded().len();
    let all = applies(&stage.accounts[0]).await + applies(&stage.accounts[1]).await;
    assert_eq!(all, orders.len() + 1);
    println!("{} orders: 0 wrong deliveries, one rollout each", orders.len());
    for replica in &stage.replicas {
        replica.stop().await;
    }
}

#[test]
fn there_are_sixty_orders() {
    assert_eq!(ACTS.map(|first| orders(first).len()), [12; 5]);
}

#[tokio::test]
async fn first_a_wrong_rotation() {
    no_order_delivers_what_is_wrong("order-wrong", Act::WrongRotation).await;
}

#[tokio::test]
async fn first_a_kill() {
    no_order_delivers_what_is_wrong("order-kill", Act::Kill).await;
}

#[tokio::test]
async fn first_a_change_of_leaders() {
    no_order_delivers_what_is_wrong("order-lead", Act::LeaderChange).await;
}

#[tokio::test]
async fn first_an_outage() {
    no_order_delivers_what_is_wrong("order-outage", Act::Outage).await;
}

#[tokio::test]
async fn first_too_many_requests() {
    no_order_delivers_what_is_wrong("order-busy", Act::TooManyRequests).await;
}
