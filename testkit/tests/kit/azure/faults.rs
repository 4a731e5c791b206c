//! Faults of one service, and the end of the double.

use std::time::{Duration, Instant};

use http::Method;
use testkit::Azure;
use testkit::azure::Fault;
use testkit::azure::Service::{self, Entra, Graph, Vault};
use tokio::net::TcpStream;

use super::{API, ask, exchange, furnished, get, request, send};
use crate::objects::DEADLINE;

#[tokio::test]
async fn faults_happen_as_told() {
    enum Expected {
        Answer(u16, &'static str),
        Cut,
    }
    use Expected::{Answer, Cut};
    for (fault, seen, effect, expected) in [
        ("refuse=503,{\"error\": 1}", true, false, Answer(503, "{\"error\": 1}")),
        ("later=429,7,too many", true, false, Answer(429, "too many")),
        ("redirect=https://127.0.0.1:1/", true, false, Answer(307, "")),
        ("html", true, false, Answer(200, "<!DOCTYPE html>")),
        ("garbage", true, true, Answer(200, "\u{fffd}\u{fffd}\0[{]")),
        ("truncate", true, true, Cut),
        ("huge", true, true, Answer(200, "[{\"filler\":\"xxx")),
        ("lose", true, true, Cut),
        ("close", false, false, Cut),
        ("delay=200", true, true, Answer(200, "{\"")),
    ] {
        let (azure, _, graph, vault) = furnished();
        azure.fail(Vault, 2, fault.parse().unwrap());
        let list = || get(&format!("/secrets?{API}"), &vault);
        assert_eq!(ask(&azure, Vault, list()).await.0, 200, "{fault} came early");
        assert_eq!(ask(&azure, Graph, get("/v1.0/groups", &graph)).await.0, 200, "{fault} came elsewhere");
        let begin = Instant::now();
        let mut put = request(Method::PUT, &format!("/secrets/x?{API}"), &vault);
        r#"{"value": "v"}"#.clone_into(put.body_mut());
        match (send(&azure, Vault, put).await, expected) {
            (Ok(answer), Answer(status, begins)) => {
                assert_eq!(answer.status().as_u16(), status, "{fault}");
                assert!(answer.body().starts_with(begins), "{fault}");
                assert_eq!(answer.body().len() > 50_000_000, fault == "huge", "{fault}");
                let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
                assert_eq!(header("retry-after"), (status == 429).then_some("7"));
                assert_eq!(header("location"), (status == 307).then_some("https://127.0.0.1:1/"));
                let json = fault.contains('{') || matches!(fault, "garbage" | "huge" | "delay=200");
                assert_eq!(header("content-type").unwrap().starts_with("application/json"), json, "{fault}");
            }
            (Err(_), Cut) => {}
            (answer, _) => panic!("{fault}: {answer:?}"),
        }
        assert!(fault != "delay=200" || begin.elapsed() >= Duration::from_millis(200), "{fault}");
        let received = &azure.received()[2];
        assert_eq!((received.status, received.body.is_empty()), (seen.then_some(200), !seen), "{fault}");
        assert_eq!(azure.vault().secrets.len(), usize::from(effect), "{fault}");
        assert_eq!(ask(&azure, Vault, list()).await.0, 200, "{fault} stayed");
        assert_eq!(azure.violations(), [""; 0], "{fault}");
    }
}

#[tokio::test]
async fn faults_last_until_the_double_recovers() {
    let (azure, _, graph, _) = furnished();
    azure.always(Graph, Fault::Refuse(503, "later".to_owned()));
    azure.fail_next(Graph, Fault::Later(429, 1, "slow".to_owned()));
    azure.fail_next(Graph, Fault::Lose);
    let groups = async || send(&azure, Graph, get("/v1.0/groups", &graph)).await.map(|answer| answer.status().as_u16());
    assert_eq!(groups().await, Ok(429));
    groups().await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(groups().await, Ok(503));
    }
    azure.fail_next(Graph, Fault::Hang);
    azure.recover();
    assert_eq!(groups().await, Ok(200));
    assert_eq!(azure.asked(Graph), ["GET /v1.0/groups"; 5]);
}

#[tokio::test]
async fn it_never_answers_and_ends_with_its_test() {
    let azure = Azure::start();
    azure.fail_next(Entra, Fault::Hang);
    let (url, ca) = (azure.url(Entra).to_owned(), azure.ca_pem().to_owned());
    let urls = Service::ALL.map(|service| azure.url(service).to_owned());
    let mut answer = tokio::spawn(async move { exchange(&url, &ca, get("/common/discovery/v2.0/keys", "")).await });
    testkit::eventually("the request to hang", DEADLINE, async || !azure.received().is_empty()).await;
    tokio::time::timeout(Duration::from_millis(100), &mut answer).await.expect_err("an answer");

    let test = std::thread::spawn(move || {
        let _azure = azure;
        std::panic::resume_unwind(Box::new("a test fails"));
    });
    test.join().unwrap_err();
    tokio::time::timeout(DEADLINE, answer).await.expect("its connections end").unwrap().unwrap_err();
    for url in urls {
        TcpStream::connect(url.trim_start_matches("https://")).await.expect_err("a port of it is open");
    }
}
