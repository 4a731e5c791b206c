//! The double of Timbr's API refuses what no client should send, keeps state, and misbehaves as told.

use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Request, Version};
use serde_json::{Value, json};
use testkit::TimbrApi;
use testkit::timbr_api::{Fault, Group};
use tokio::net::TcpStream;

use crate::objects::DEADLINE;

const MAP: &str = "ALTER ROLE `admins` SYNC name = 'Timbr Admins'";
const SYNC: &str = "SYNC ROLE `admins`";
const QUERY: &str = "/timbr/openapi/ontology/system_db/query";

fn start() -> TimbrApi {
    TimbrApi::start().with_roles(["admins", "o'x"])
}

/// A sound request.
fn request(api: &TimbrApi, sql: &str) -> Request<String> {
    let request = Request::post(QUERY).header("host", "timbr").header("content-type", "application/text");
    request.header("nested", "false").header("x-api-key", api.key()).body(sql.to_owned()).unwrap()
}

/// The status and the text, or that the connection was cut.
async fn send(url: &str, request: Request<String>) -> Result<(u16, String), String> {
    let connect = async { TcpStream::connect(url.trim_start_matches("http://")).await.unwrap() };
    crate::http::exchange(connect, request).await.map(|answer| (answer.status().as_u16(), answer.into_body()))
}

async fn execute(api: &TimbrApi, sql: &str) -> Result<(u16, String), String> {
    send(api.url(), request(api, sql)).await
}

fn set(request: &mut Request<String>, name: &'static str, value: &'static str) {
    request.headers_mut().insert(name, HeaderValue::from_static(value));
}

#[tokio::test]
async fn what_no_client_should_send_is_refused_and_kept() {
    type Edit = fn(&mut Request<String>);
    let cases: [(u16, &str, Edit); 26] = [
        (505, "HTTP/1.0 is not HTTP/1.1", |r| *r.version_mut() = Version::HTTP_10),
        (404, "no such path: /timbr/api/query/", |r| *r.uri_mut() = "/timbr/api/query/".parse().unwrap()),
        (404, "no such path: /timbr/openapi/ontology//query", |r| {
            *r.uri_mut() = "/timbr/openapi/ontology//query".parse().unwrap();
        }),
        (405, "PUT of a query, which is a POST", |r| *r.method_mut() = Method::PUT),
        (405, "POST of what is only read", |r| *r.uri_mut() = "/timbr/api/get_ontologies/".parse().unwrap()),
        (400, "a parameter other than datasource", |r| *r.uri_mut() = format!("{QUERY}?a=b").parse().unwrap()),
        (415, "Content-Type None, not application/text", |r| drop(r.headers_mut().remove("content-type"))),
        (415, "Content-Type Some(\"text/plain\"), not application/text", |r| set(r, "content-type", "text/plain")),
        (400, "nested None, neither true nor false", |r| drop(r.headers_mut().remove("nested"))),
        (400, "nested Some(\"no\"), neither true nor false", |r| set(r, "nested", "no")),
        (400, "nested twice", |r| {
            r.headers_mut().append("nested", HeaderValue::from_static("false"));
        }),
        (400, "x-async Some(\"1\"), not true", |r| set(r, "x-async", "1")),
        (401, "neither x-api-key nor x-jwt-token", |r| drop(r.headers_mut().remove("x-api-key"))),
        (401, "x-api-key is not the key", |r| set(r, "x-api-key", "tk_other")),
        (401, "x-jwt-token is not the token", |r| {
            r.headers_mut().remove("x-api-key");
            set(r, "x-jwt-token", "other");
        }),
        (400, "both x-api-key and x-jwt-token", |r| set(r, "x-jwt-token", "jwt")),
        (400, "x-jwt-tenant-id beside x-api-key", |r| set(r, "x-jwt-tenant-id", "tenant")),
        (401, "Authorization, which Timbr does not know", |r| set(r, "authorization", "Bearer x")),
        (401, "x-jwt-tenant-id is not the tenant", |r| {
            r.headers_mut().remove("x-api-key");
            set(r, "x-jwt-token", "jwt");
            set(r, "x-jwt-tenant-id", "other");
        }),
        (500, "SQL: no statement", |r| r.body_mut().clear()),
        (500, "SQL: a `;`: one statement a request, and none at its end", |r| r.body_mut().push(';')),
        (500, "SQL: a `;`: one statement a request, and none at its end", |r| *r.body_mut() = format!("{MAP}; {SYNC}")),
        (500, "SQL: a string without its closing quote", |r| r.body_mut().truncate(MAP.len() - 1)),
        (500, "SQL: the escape \\n in a string", |r| *r.body_mut() = MAP.replace("Timbr ", r"Timbr\n")),
        (500, "SQL: expected SYNC ROLE `role`", |r| *r.body_mut() = "SYNC ROLE admins".to_owned()),
        (500, "SQL: a statement that this double does not know", |r| *r.body_mut() = "SELECT 2".to_owned()),
    ];
    let api = start().with_jwt("jwt", Some("tenant"));
    for (number, (status, text, edit)) in cases.into_iter().enumerate() {
        let mut request = request(&api, MAP);
        edit(&mut request);
        assert_eq!(send(api.url(), request).await.unwrap(), (status, text.to_owned()));
        assert_eq!(api.violations().len(), number + 1, "{text}");
        assert_eq!(api.violations()[number], format!("request {}: {text}", number + 1));
    }
    // What was refused has had no effect, and is known all the same.
    assert!(api.executed().is_empty() && api.mappings().is_empty());
    assert!(api.received().iter().any(|received| received.sql == format!("{MAP}; {SYNC}")));
}

#[tokio::test]
async fn statements_change_what_roles_are_mapped_to() {
    let api = start().with_ontology("sales").with_answer("SELECT 1", json!([{"1": 1}]));
    for (sql, status, text) in [
        (MAP, 200, "[]"),
        ("ALTER ROLE `admins` SYNC id = '0-1'", 200, "[]"),
        (r"ALTER ROLE `o'x` SYNC email = 'o\'x@example.com'", 200, "[]"),
        (SYNC, 200, "[]"),
        ("SELECT 1", 200, r#"[{"1":1}]"#),
        ("SYNC ROLE `nobody`", 500, "Role 'nobody' does not exist"),
        ("ALTER ROLE `nobody` SYNC name = 'g'", 500, "Role 'nobody' does not exist"),
    ] {
        assert_eq!(execute(&api, sql).await.unwrap(), (status, text.to_owned()), "{sql}");
    }
    let email = Group::Email("o'x@example.com".to_owned());
    let expected = [("admins".to_owned(), Group::Id("0-1".to_owned())), ("o'x".to_owned(), email)];
    assert_eq!(api.mappings(), expected.into());
    assert_eq!(api.synced(), ["admins"]);
    assert_eq!(api.executed().len(), 5);

    api.set_may_edit(false);
    let denied = (500, "Access denied: no EDIT permission on role 'admins'".to_owned());
    assert_eq!(execute(&api, MAP).await.unwrap(), denied);
    let mut elsewhere = request(&api, "SELECT 1");
    *elsewhere.uri_mut() = "/timbr/openapi/ontology/sales/query?datasource=d".parse().unwrap();
    assert_eq!(send(api.url(), elsewhere).await.unwrap().0, 200);
    let mut nowhere = request(&api, MAP);
    *nowhere.uri_mut() = "/timbr/openapi/ontology/none/query".parse().unwrap();
    assert_eq!(send(api.url(), nowhere).await.unwrap(), (500, "Unknown database 'none'".to_owned()));
    let mut list = request(&api, "");
    (*list.method_mut(), *list.uri_mut()) = (Method::GET, "/timbr/api/get_ontologies/".parse().unwrap());
    let (_, ontologies) = send(api.url(), list).await.unwrap();
    let expected = json!({"data": ["sales", "system_db"], "status": "success"});
    assert_eq!(ontologies.parse::<Value>().unwrap(), expected);
    api.set_roles(["o'x"]);
    assert!(!api.mappings().contains_key("admins"), "a mapping outlived its role");

    assert_eq!(api.violations(), [""; 0]);
    let received = api.received();
    assert!(received.is_sorted_by_key(|received| (received.nth, received.at)));
    assert_eq!((received[8].ontology.as_str(), received[8].sql.as_str()), ("sales", "SELECT 1"));
    assert!(!format!("{api:?}{received:?}").contains(api.key()), "the key is shown");
}

#[tokio::test]
async fn faults_happen_as_told() {
    enum Expected {
        Answer(u16, &'static str),
        Cut,
    }
    use Expected::{Answer, Cut};
    let reject = "Could not open connection: HTTP Response code: 401";
    for (fault, known, executed, expected) in [
        ("refuse=403,not you", true, false, Answer(403, "not you")),
        ("later=429,7,too many, wait", true, false, Answer(429, "too many, wait")),
        ("redirect=http://127.0.0.1:1/elsewhere", true, false, Answer(307, "")),
        ("reject-credential", true, false, Answer(500, reject)),
        ("html", true, false, Answer(200, "<!DOCTYPE html>")),
        ("garbage", true, true, Answer(200, "\u{fffd}\u{fffd}\0[{]")),
        ("truncate", true, true, Cut),
        ("huge", true, true, Answer(200, "[{\"filler\":\"xxx")),
        ("lose", true, true, Cut),
        ("close", false, false, Cut),
        ("delay=200", true, true, Answer(200, "[]")),
    ] {
        let api = start();
        api.fail(2, fault.parse().unwrap());
        assert_eq!(execute(&api, SYNC).await.unwrap(), (200, "[]".to_owned()), "{fault} came early");
        let begin = Instant::now();
        match (execute(&api, MAP).await, expected) {
            (Ok((status, text)), Answer(expected, begins)) => {
                assert_eq!(status, expected, "{fault}");
                assert!(text.starts_with(begins), "{fault}: {}", text.chars().take(80).collect::<String>());
                assert_eq!(text.len() > 50_000_000, fault == "huge", "{fault}");
            }
            (Err(_), Cut) => {}
            (answer, _) => panic!("{fault}: {answer:?}"),
        }
        assert!(fault != "delay=200" || begin.elapsed() >= Duration::from_millis(200), "{fault}");
        let received = &api.received()[1];
        assert_eq!((received.sql == MAP, received.executed), (known, executed), "{fault}");
        assert_eq!(api.mappings().len(), usize::from(executed), "{fault}");
        assert_eq!(execute(&api, SYNC).await.unwrap(), (200, "[]".to_owned()), "{fault} stayed");
        assert_eq!(api.violations(), [""; 0], "{fault}");
    }
    for wrong in ["lost", "lose=1", "refuse", "refuse=99,x", "later=429", "later=429,x,y", "redirect", "delay=x", ""] {
        assert!(wrong.parse::<Fault>().unwrap_err().contains("is no fault"), "{wrong}");
    }
}

#[tokio::test]
async fn faults_last_until_the_double_recovers() {
    let api = start();
    api.always(Fault::Refuse(503, "later".to_owned()));
    api.fail_next(Fault::Refuse(401, "first".to_owned()));
    api.fail_next(Fault::Lose);
    assert_eq!(execute(&api, MAP).await.unwrap().0, 401);
    execute(&api, MAP).await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(execute(&api, MAP).await.unwrap().0, 503);
    }
    api.fail_next(Fault::Hang);
    api.recover();
    assert_eq!(execute(&api, MAP).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_delayed_statement_is_executed_after_its_sender_is_gone() {
    let api = start();
    api.fail_next(Fault::Delay(Duration::from_millis(300)));
    let unanswered = tokio::time::timeout(Duration::from_millis(100), execute(&api, MAP)).await;
    unanswered.expect_err("no delay");
    testkit::eventually("the late statement", DEADLINE, async || api.received()[0].executed).await;
}

#[tokio::test]
async fn it_never_answers_and_ends_with_its_test() {
    let api = start();
    api.fail_next(Fault::Hang);
    let url = api.url().to_owned();
    let hanging = (url.clone(), request(&api, MAP));
    let mut answer = tokio::spawn(async move { send(&hanging.0, hanging.1).await });
    testkit::eventually("the request to hang", DEADLINE, async || !api.received().is_empty()).await;
    tokio::time::timeout(Duration::from_millis(100), &mut answer).await.expect_err("an answer");

    let test = std::thread::spawn(move || {
        let _api = api;
        std::panic::resume_unwind(Box::new("a test fails"));
    });
    test.join().unwrap_err();
    tokio::time::timeout(DEADLINE, answer).await.expect("its connections end").unwrap().unwrap_err();
    TcpStream::connect(url.trim_start_matches("http://")).await.expect_err("its port is open");
}
