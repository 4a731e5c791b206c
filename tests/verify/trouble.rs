//! Whatever goes wrong on the way is told apart, and is never taken for a No.

use std::net::TcpListener;
use std::time::Duration;

use http::Method;
use testkit::Azure;
use testkit::azure::{Fault, Service::Entra as Login};
use timbr_identity::api::CheckResult;
use timbr_identity::verify::{Entra, Guard, Http, Limits, NamedBy, Outcome, Trouble};
use url::Url;

use super::{http, said, url};

async fn tenant(azure: &Azure) -> Outcome {
    let (http, authority) = (http(azure, &[]), url(azure, Login));
    Entra { http: &http, authority: &authority }.tenant(azure.tenant()).await
}

#[tokio::test]
async fn every_fault_and_its_repair_shows_at_once() {
    let azure = Azure::start();
    let refuse = |status| Fault::Refuse(status, "{}".to_owned());
    let unreachable = "check that the operator's pod may reach it, by firewall, NetworkPolicy or HTTPS_PROXY";
    let unreadable = "check the URL, and that no proxy answers in its place";
    let redirect = |to: &str| Fault::Redirect(to.to_owned());
    let rows = [
        (Fault::Hang, "Unreachable", format!(": no answer within 5s; {unreachable}"), None),
        (
            Fault::Later(429, 7, "{}".to_owned()),
            "RateLimited",
            " asks for fewer requests; nothing to do but to ask again later".to_owned(),
            Some(7),
        ),
        (refuse(429), "RateLimited", " asks for fewer requests; nothing to do but to ask again later".to_owned(), None),
        (
            Fault::Later(503, 120, "{}".to_owned()),
            "ServiceFailed",
            " answers with status 503; nothing to do but to ask again later".to_owned(),
            Some(120),
        ),
        (
            refuse(500),
            "ServiceFailed",
            " answers with status 500; nothing to do but to ask again later".to_owned(),
            None,
        ),
        (
            Fault::Html,
            "Unreadable",
            format!(": it answers with status 200, and with no JSON of the expected form; {unreadable}"),
            None,
        ),
        (
            Fault::Garbage,
            "Unreadable",
            format!(": it answers with status 200, and with no JSON of the expected form; {unreadable}"),
            None,
        ),
        (
            Fault::Refuse(403, "<html>".to_owned()),
            "Unreadable",
            format!(": it answers with status 403, and with no JSON of the expected form; {unreadable}"),
            None,
        ),
        (Fault::Huge, "Unreadable", format!(": the answer has more than 1 MiB; {unreadable}"), None),
        (
            redirect("https://10.0.0.7/x"),
            "Unreadable",
            format!(": it answers with a redirect to 10.0.0.7, which is not followed; {unreadable}"),
            None,
        ),
    ];
    for (fault, reason, sentence, later) in rows {
        azure.always(Login, fault.clone());
        let outcome = tenant(&azure).await;
        assert_eq!(said(&outcome), (reason, &*format!("Entra (127.0.0.1){sentence}")), "{fault:?}");
        assert_eq!(
            (outcome.finding(), outcome.retry_after),
            (CheckResult::Unknown, later.map(Duration::from_secs)),
            "{fault:?}"
        );
        azure.recover();
        assert_eq!(tenant(&azure).await.reason.as_str(), "Passed", "after {fault:?}");
    }
    // How a connection ends is told in the words of whoever noticed it.
    for fault in [Fault::Truncate, Fault::Lose, Fault::Close] {
        azure.always(Login, fault.clone());
        let outcome = tenant(&azure).await;
        let begins = outcome.message.starts_with("Entra (127.0.0.1): the answer broke off: ");
        assert!(begins && outcome.message.ends_with(unreachable), "{fault:?}: {}", outcome.message);
        assert_eq!((outcome.reason.as_str(), outcome.finding()), ("Unreachable", CheckResult::Unknown), "{fault:?}");
        azure.recover();
    }
}

#[tokio::test]
async fn nobody_there_or_nobody_known() {
    let azure = Azure::start();
    let ask = async |http: &Http, authority: &str| {
        let authority: Url = authority.parse().expect("a URL");
        Entra { http, authority: &authority }.tenant("contoso.com").await
    };
    let trusting = http(&azure, &[]);
    let outcome = ask(&trusting, "https://nobody.invalid").await;
    let sentence = "Entra (nobody.invalid): the name nobody.invalid cannot be resolved; check the host's name, and the cluster's DNS";
    assert_eq!(said(&outcome), ("Unreachable", sentence));

    let free = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    let outcome = ask(&trusting, &format!("https://{free}")).await;
    let begins = outcome.message.starts_with("Entra (127.0.0.1): no connection: Connection refused");
    assert!(begins, "{}", outcome.message);

    // Somebody listens and never accepts: TLS does not come about.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let outcome = ask(&trusting, &format!("https://{}", mute.local_addr().expect("an address"))).await;
    assert_eq!(outcome.reason.as_str(), "Unreachable", "{}", outcome.message);

    let stranger = Http::new(Guard::default(), b"", Limits::default()).expect("there is TLS");
    let outcome = ask(&stranger, azure.url(Login)).await;
    let sentence = "Entra (127.0.0.1): its certificate is not trusted: an authority has issued it that the operator does not know; give it --ca-bundle; check who answers there";
    assert_eq!(said(&outcome), ("Untrusted", sentence));
    // By another name than its certificate has.
    let elsewhere = azure.url(Login).replace("127.0.0.1", "127.0.0.2");
    let outcome = ask(&trusting, &elsewhere).await;
    assert!(matches!(outcome.reason.as_str(), "Unreachable" | "Untrusted"), "{}", outcome.message);
}

/// A resource's URL leads nowhere in the operator's own network, by address or by name.
#[tokio::test]
async fn what_a_resource_names_is_judged_where_it_leads() {
    let azure = Azure::start();
    let port = url(&azure, Login).port().expect("a port");
    let path = "/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration";
    let ask = async |http: &Http, host: &str| {
        let url: Url = format!("https://{host}:{port}{path}").parse().expect("a URL");
        match http.request(Method::GET, url, NamedBy::Resource) {
            Ok(request) => http.send(request).await.map(|answer| answer.status.as_u16()),
            Err(refused) => Err(refused),
        }
    };
    let before = azure.received().len();
    let closed = http(&azure, &["0.0.0.0/0"]);
    let message = |result: Result<u16, Trouble>| result.expect_err("refused").to_string();
    let machine =
        "the operator's own machine; name another, or give the operator an --allow-cidr within 127.0.0.0/8 or ::1/128";
    assert_eq!(message(ask(&closed, "127.0.0.1").await), format!("127.0.0.1 leads to 127.0.0.1, {machine}"));
    assert_eq!(message(ask(&closed, "localhost").await), "localhost is a name of the operator's own network");
    assert_eq!(
        message(ask(&closed, "[::ffff:127.0.0.1]").await),
        format!("[::ffff:127.0.0.1] leads to 127.0.0.1, {machine}")
    );
    // The machine's own name leads to the machine itself, as a name of an attacker's does: it is known by its address.
    let own = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    if let Some(own) = Some(own.trim()).filter(|own| !own.is_empty()) {
        assert!(matches!(
            ask(&closed, own).await,
            Err(Trouble::Refused(_) | Trouble::Unresolved(_) | Trouble::Unconnected(_))
        ));
    }
    assert_eq!(azure.received().len(), before, "nothing was asked");
    assert_eq!(ask(&http(&azure, &["127.0.0.0/8"]), "127.0.0.1").await, Ok(200));
}
