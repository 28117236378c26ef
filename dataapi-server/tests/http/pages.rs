//! Pages over HTTP: `next` leads from page to page to the end, with the same prefix and filter.

use crate::server::Server;

async fn with_dialogs() -> Server {
    let server = Server::memory().await;
    for number in 0..25 {
        let (customer, language) =
            (["anna", "b%2F%C3%B6"][number % 2], ["en", "pt-BR"][number % 3 % 2]);
        server.consented(customer, &format!("d-{number:02}"), language, &format!("{number}")).await;
    }
    server
}

async fn crawl(server: &Server, start: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut target = start.to_owned();
    loop {
        let answer = server.get(&target).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        let page = answer.json();
        for item in page["items"].as_array().expect("items") {
            ids.push(item["dialog_id"].as_str().expect("an id").to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            assert!(answer.header("link").is_none());
            return ids;
        };
        assert_eq!(answer.header("link"), Some(&*format!("<{next}>; rel=\"next\"")));
        assert!(next.contains("cursor=") && !next.contains("offset="), "{next}");
        next.clone_into(&mut target);
    }
}

#[tokio::test]
async fn following_next_yields_what_one_large_page_does() {
    let server = with_dialogs().await;
    for (path, filter) in [
        ("/data/", ""),
        ("/data", "&language=PT-br"),
        ("/data", "&language=PT-*&language=en"),
        ("/v1/data/", "&customerId=b%2F%C3%B6"),
        ("/v1/data", "&customer_id=b%2F%C3%B6&language=en&total=false"),
        ("/data/", "&from=2001-01-01T00:00:00%2B02:00&to=2999-01-01T00:00:00Z"),
        ("/customers/b%2F%C3%B6/data", ""),
        ("/v1/customers/anna/data", "&total=false"),
    ] {
        let whole = crawl(&server, &format!("{path}?limit=1000{filter}")).await;
        assert!(whole.len() > 3, "{path} {filter}");
        for limit in [1, 2, 7] {
            let start = format!("{path}?limit={limit}{filter}");
            assert_eq!(crawl(&server, &start).await, whole, "{start}");
            let next = server.get(&start).await.json()["next"].as_str().unwrap().to_owned();
            assert_eq!(next.starts_with("/v1/"), path.starts_with("/v1/"), "{next}");
            assert!(next.contains(&format!("limit={limit}")), "{next}");
            let counted = server.get(&next).await.json()["total"].is_number();
            assert_eq!(counted, !filter.contains("total=false"), "{next}");
            // A page with an offset continues by cursor, too.
            let skipped = crawl(&server, &format!("{start}&offset=2")).await;
            assert_eq!(skipped, whole[2..], "{start}");
        }
    }
}

#[tokio::test]
async fn a_page_says_where_it_stands() {
    let server = with_dialogs().await;
    let page = server.get("/data/?limit=4&offset=3").await.json();
    assert_eq!(
        (&page["limit"], &page["offset"], &page["total"]),
        (&4.into(), &3.into(), &25.into())
    );
    let next = page["next"].as_str().expect("a next page").to_owned();
    let page = server.get(&next).await.json();
    assert_eq!(
        (&page["limit"], &page["offset"], &page["total"]),
        (&4.into(), &0.into(), &25.into())
    );
    let page = server.get("/data/?total=false").await.json();
    assert!(page.get("total").is_none(), "{page}");
    assert!(page["next"].is_null());
}

#[tokio::test]
async fn a_withdrawal_reaches_the_next_page_of_a_crawl() {
    let server = with_dialogs().await;
    let page = server.get("/data/?limit=5").await.json();
    let next = page["next"].as_str().expect("a next page");
    let following = server.get(next).await.json()["items"][0]["dialog_id"].clone();
    let following = following.as_str().expect("an id");
    assert_eq!(server.post(&format!("/consents/{following}"), "false").await.status, 200);
    assert!(!server.get(next).await.text().contains(following));
}
