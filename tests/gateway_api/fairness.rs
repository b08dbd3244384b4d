//! Owners share the calls, the memory for bodies and the hooks of a gateway: none of them can take
//! all.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::gateway::*;

const MIB: usize = 1 << 20;

struct TwoOwners {
    gateway: TestGateway,
    addr: SocketAddr,
    attacker: String,
    other: String,
}

async fn two_owners(change: impl FnOnce(&mut Config)) -> TwoOwners {
    let gateway = TestGateway::with_config(|config| {
        config.auth = Auth::Tokens;
        change(config);
    })
    .await;
    let ledger = LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db"));
    let ledger = Ledger::open(&ledger).await.unwrap();
    let token = async |name: &str| ledger.add_token(name).await.unwrap().expose().to_owned();
    let (attacker, other) = (token("attacker").await, token("other").await);
    TwoOwners {
        addr: gateway.running.url().socket_addrs(|| None).unwrap()[0],
        gateway,
        attacker,
        other,
    }
}

impl TwoOwners {
    /// Sends the head of a batch of the attacker with `length` bytes, and the first `sent` bytes.
    async fn stall_batch(&self, length: usize, sent: usize) -> TcpStream {
        let head = format!(
            "POST /v1/batch HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n",
            self.addr, self.attacker
        );
        let mut connection = TcpStream::connect(self.addr).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        // The gateway may have refused it already.
        let _ = connection.write_all(&vec![b' '; sent]).await;
        connection
    }

    /// Sends a batch of 3 MiB that is not JSON, with the token of `gateway`.
    async fn post_large_batch(&self) -> Response {
        let request = self.gateway.request(Method::POST, "/v1/batch");
        let request = request.header("content-type", "application/json");
        request.body(vec![b' '; 3 * MIB]).send().await.unwrap()
    }

    async fn assert_other_is_served(&mut self) {
        self.gateway.token = Some(self.other.clone());
        let id = self.gateway.create_upload(&begin_request(TWO_PARTS)).await;
        let parts = self.gateway.put_parts(&id, &bodies()).await;
        expect_json::<Receipt>(self.gateway.complete(&id, &parts).await, 200).await;
    }
}

#[tokio::test]
async fn bodies_that_do_not_arrive_take_no_call_from_others() {
    let mut owners = two_owners(|_| ()).await;
    let mut stalled = Vec::new();
    for _ in 0..400 {
        stalled.push(owners.stall_batch(100, 1).await);
    }
    owners.assert_other_is_served().await;
    // Not even from other calls of the same owner.
    owners.gateway.token = Some(owners.attacker.clone());
    assert_eq!(owners.gateway.get("/v1").await.status(), 200);
    drop(stalled);
}

#[tokio::test]
async fn bodies_of_one_owner_leave_memory_to_others() {
    let mut owners = two_owners(|_| ()).await;
    let mut stalled = Vec::new();
    for _ in 0..24 {
        stalled.push(owners.stall_batch(4 * MIB, 3 * MIB).await);
    }
    owners.gateway.token = Some(owners.attacker.clone());
    let retry_after = until("the owner has its share of memory", async || {
        let response = owners.post_large_batch().await;
        (response.status() == 503).then(|| response.headers()["retry-after"].clone())
    })
    .await;
    assert_eq!(retry_after, "1");
    owners.assert_other_is_served().await;
    let large = owners.post_large_batch().await;
    assert_eq!(large.status(), 400, "the body was not received");
    drop(stalled);
    owners.gateway.token = Some(owners.attacker.clone());
    until("the memory is free again", async || {
        let response = owners.post_large_batch().await;
        (response.status() == 400).then_some(())
    })
    .await;
}

#[tokio::test]
async fn hooks_of_an_owner_with_many_uploads_do_not_delay_others() {
    let dir = tempfile::tempdir().unwrap();
    let permit = dir.path().join("permit");
    // Each hook for the attacker takes a permit: a file that only one of them can remove.
    let script = format!(
        "case $(cat) in *'\"name\":\"other\"'*) exit 0;; esac; \
         until rm {} 2>/dev/null; do sleep 0.02; done",
        permit.display()
    );
    let hook = Hook {
        name: "slow".to_owned(),
        kind: HookKind::Command {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script],
        },
        time_limit: Duration::from_mins(5),
    };
    let mut owners = two_owners(|config| config.hooks = vec![hook]).await;
    let put = async |owners: &TwoOwners, name: &str| {
        let body = [b"x".to_vec()];
        let request = BeginRequest {
            name: name.to_owned(),
            ..begin_request(1)
        };
        let begun = owners.gateway.begin(name, &request).await;
        let id: BeginResponse = expect_json(begun, 201).await;
        let parts = owners.gateway.put_parts(&id, &body).await;
        expect_json::<Receipt>(owners.gateway.complete(&id, &parts).await, 200).await;
        id.id
    };
    let is_ready = async |owners: &TwoOwners, id: &UploadId| {
        let status: UploadStatus =
            expect_json(owners.gateway.get(&format!("/v1/uploads/{id}")).await, 200).await;
        status.state == UploadState::Ready
    };
    owners.gateway.token = Some(owners.attacker.clone());
    let mut many = Vec::new();
    for key in 0..40 {
        many.push(put(&owners, &key.to_string()).await);
    }
    owners.gateway.token = Some(owners.other.clone());
    let one = put(&owners, "other").await;
    // The hook of the other owner runs as soon as one hook of the attacker has ended.
    std::fs::write(&permit, "").unwrap();
    until("the upload of the other owner is ready", async || {
        is_ready(&owners, &one).await.then_some(())
    })
    .await;
    owners.gateway.token = Some(owners.attacker.clone());
    let mut waiting = 0;
    for id in &many {
        waiting += usize::from(!is_ready(&owners, id).await);
    }
    assert!(waiting >= many.len() - 1, "{waiting}");
}
