//! Two whole devices with real links between them.

use std::net::SocketAddr;

use store::home::Home;

use super::*;
use crate::running::Running;

struct Whole {
    running: Arc<Running>,
    member: MemberId,
    _dir: tempfile::TempDir,
}

impl Whole {
    async fn start((dir, home): (tempfile::TempDir, Home), keyring: Keyring) -> Self {
        let member = keyring.member.as_ref().unwrap().id();
        let running = Running::start(Arc::new(home), keyring, EventHub::default(), None).await.unwrap();
        Self { running, member, _dir: dir }
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.running.network.port()).into()
    }

    fn objects(&self, ids: &[ObjectId]) -> usize {
        ids.len() - self.running.spaces.objects.absent(ids).unwrap().len()
    }
}

/// A home with a database, and a circle in it.
fn home(keys: &Keyring) -> ((tempfile::TempDir, Home), Circle) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::create(&dir.path().join("home")).unwrap();
    std::fs::write(home.settings(), "lan = false\nbind = \"127.0.0.1\"").unwrap();
    let database = Database::create(&home.database(), keys.records.clone()).unwrap();
    ((dir, home), Circle::open(&database, Arc::new(copy(keys))).unwrap())
}

fn copy(keys: &Keyring) -> Keyring {
    Keyring::from_bytes(&keys.to_bytes()).unwrap().into_keyring()
}

/// Two devices of two members that know each other.
async fn pair() -> [Whole; 2] {
    let keys = [Keyring { root: Some(RootKey::generate()), ..Keyring::generate() }, Keyring::generate()];
    let (dir_a, ada) = home(&keys[0]);
    ada.found("home", "ada", "laptop").unwrap();
    let (dir_b, bob) = home(&keys[1]);
    admit(&ada, &keys[1], "bob");
    bob.adopt(ada.read(Clone::clone).unwrap()).unwrap();
    drop((ada, bob));
    let [keys_a, keys_b] = keys;
    [Whole::start(dir_a, keys_a).await, Whole::start(dir_b, keys_b).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_goes_over_real_links_with_all_its_contents() {
    let [ada, bob] = Box::pin(pair()).await;
    let kept = ada.running.spaces.found("shared").unwrap();
    let ledger = kept.space.id();
    kept.space.grant(RealmId::ROOT, bob.member, SpaceRole::Editor, clock::now()).unwrap();
    let objects: Vec<_> = (0..48_u8).map(|seed| bytes(seed, 1 << 20)).collect();
    let ids = write(&ada.running.spaces, ledger, "large", &objects).unwrap();
    ada.running.links.connect_at(bob.running.network.id(), bob.address()).await.unwrap();
    until("bob has the space", || bob.running.spaces.get(ledger).is_some()).await;
    until("bob reads", || names(&bob.running.spaces, ledger) == ["large"]).await;
    until("all objects", || bob.objects(&ids) == ids.len()).await;
    write(&bob.running.spaces, ledger, "answer", &[bytes(77, 1000)]).unwrap();
    until("ada reads", || names(&ada.running.spaces, ledger).len() == 2).await;
    let standing = |whole: &Whole| {
        let kept = whole.running.spaces.get(ledger).unwrap();
        whole.running.between.standing(&kept).unwrap()
    };
    until("current", || standing(&ada).state == api::types::SpaceState::Current).await;
    let known =
        |whole: &Whole| standing(whole).devices.values().all(|device| device.online && device.current == Some(true));
    until("both know it", || known(&ada) && known(&bob)).await;
    bob.running.stop(logic::audit::Event::DeviceStopped {}).await;
    until("alone", || standing(&ada).state == api::types::SpaceState::Alone).await;
    ada.running.stop(logic::audit::Event::DeviceStopped {}).await;
}
