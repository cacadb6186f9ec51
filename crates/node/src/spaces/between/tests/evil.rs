//! Peers that do not keep the rules.

use logic::ledger::session::Session;
use logic::ledger::sync::Message;
use logic::ledger::{HeadStatement, Kind as CommitKind};
use logic::limits::{LEDGER_FRAME, OBJECTS_FRAME, SPACES_TOLD};
use logic::wire::Objects;
use net::frame::{read_body, read_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A member whose device the test plays.
struct Script {
    /// How the victim sees it.
    pipe: Arc<Pipe>,
    peer: Arc<dyn Peer>,
    streams: mpsc::UnboundedReceiver<(StreamHeader, Stream)>,
    told: mpsc::UnboundedReceiver<Vec<CommitId>>,
}

fn script(victim: &Dev, as_device_of: &Dev) -> Script {
    let (opened, streams) = mpsc::unbounded_channel();
    let (telling, told) = mpsc::unbounded_channel();
    let pipe = Pipe::new(as_device_of, Far::Script(opened, telling), CancellationToken::new());
    let peer: Arc<dyn Peer> = pipe.clone();
    victim.between.link_up(peer.clone());
    Script { pipe, peer, streams, told }
}

impl Script {
    /// Opens a stream to the victim.
    fn open(&self, victim: &Dev, header: StreamHeader) -> Stream {
        let (near, far) = streams(&self.pipe.cut);
        let (between, peer) = (victim.between.clone(), self.peer.clone());
        tokio::spawn(async move { between.serve(&peer, header, far).await });
        near
    }

    async fn opened(&mut self) -> (StreamHeader, Stream) {
        tokio::time::timeout(PATIENCE, self.streams.recv()).await.expect("no stream").unwrap()
    }

    async fn offence(&self) -> Misbehaved {
        until("an offence", || !self.pipe.offences().is_empty()).await;
        self.pipe.offences()[0]
    }
}

async fn say(stream: &mut Stream, message: &Message) {
    stream.send.write_all(message.frame().unwrap().as_bytes()).await.unwrap();
    stream.send.flush().await.unwrap();
}

async fn ask(stream: &mut Stream, message: &Objects) {
    stream.send.write_all(message.frame().unwrap().as_bytes()).await.unwrap();
    stream.send.flush().await.unwrap();
}

async fn hears(stream: &mut Stream) -> Option<Message> {
    let read = tokio::time::timeout(PATIENCE, read_body(&mut stream.recv, LEDGER_FRAME)).await.expect("silence");
    read.ok().flatten().map(|body| Message::read(&body).unwrap())
}

/// The first commit of a space of some device, as an answer.
fn genesis(of: &Dev, ledger: CommitId) -> (Message, Message) {
    let kept = of.kept(ledger);
    let have = kept.space.news(&mut Session::new(ledger)).unwrap().unwrap();
    let commit = kept.space.look(|ledger, _| Ok(ledger.control(&ledger.id()).unwrap().to_bytes())).unwrap();
    (have, Message::Commits { commits: vec![ByteBuf::from(commit)], more: false })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_the_first_commit_of_another_ledger_is_cut_off() {
    let [ada, mallory] = devices();
    let (one, other) = (mallory.found().space.id(), mallory.found().space.id());
    let mut script = script(&ada, &mallory);
    ada.between.told(&script.peer, vec![one]).unwrap();
    let (header, mut stream) = script.opened().await;
    assert_eq!(header, StreamHeader::Space { ledger: one });
    let (have, wrong) = genesis(&mallory, other);
    say(&mut stream, &have).await;
    assert!(matches!(hears(&mut stream).await, Some(Message::Want(_))));
    say(&mut stream, &wrong).await;
    assert_eq!(script.offence().await, Misbehaved::CommitForeign);
    assert!(ada.spaces.all().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_of_another_circle_is_not_kept() {
    let [ada, mallory] = devices();
    let [stranger] = devices();
    let ledger = stranger.found().space.id();
    let mut script = script(&ada, &mallory);
    ada.between.told(&script.peer, vec![ledger]).unwrap();
    let (_, mut stream) = script.opened().await;
    let (have, commits) = genesis(&stranger, ledger);
    say(&mut stream, &have).await;
    hears(&mut stream).await;
    say(&mut stream, &commits).await;
    assert_eq!(script.offence().await, Misbehaved::CertificateForeign);
    assert!(ada.spaces.all().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn spaces_without_a_role_leave_nothing_and_too_many_of_them_cut_the_link() {
    let [ada, mallory] = devices();
    let ledgers: Vec<_> = (0..20).map(|_| mallory.found().space.id()).collect();
    let mut script = script(&ada, &mallory);
    ada.between.told(&script.peer, ledgers).unwrap();
    while script.pipe.offences().is_empty() {
        let Ok(Some((StreamHeader::Space { ledger }, mut stream))) =
            tokio::time::timeout(Duration::from_secs(8), script.streams.recv()).await
        else {
            continue;
        };
        let space = mallory.kept(ledger);
        tokio::spawn(async move {
            let mut session = Session::new(ledger);
            let have = space.space.news(&mut session).unwrap().unwrap();
            say(&mut stream, &have).await;
            while let Ok(Some(body)) = read_body(&mut stream.recv, LEDGER_FRAME).await {
                let message = Message::read(&body).unwrap();
                let heard =
                    space.space.hear(&mut session, DeviceId::from_bytes([1; 32]), message, clock::now()).unwrap();
                for answer in heard.answers {
                    let frame = answer.frame().unwrap();
                    if stream.send.write_all(frame.as_bytes()).await.is_err() {
                        return;
                    }
                }
                let _ = stream.send.flush().await;
            }
        });
    }
    assert_eq!(script.offence().await, Misbehaved::SpacesFlood);
    // What was cut in the middle waits a while for the rest.
    until("no more stays than was begun", || ada.spaces.all().len() <= 4).await;
    for kept in ada.spaces.all() {
        ada.between.clear(&kept).unwrap();
    }
    assert!(std::fs::read_dir(ada.dir.path().join("spaces")).unwrap().next().is_none());
    assert!(ada.log().iter().any(|event| event == "space.turned_away"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_ledgers_than_allowed_are_an_offence() {
    let [ada, mallory] = devices();
    let script = script(&ada, &mallory);
    let many = (0..=SPACES_TOLD as u64).map(|n| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        CommitId::from_bytes(id)
    });
    assert_eq!(ada.between.told(&script.peer, many.collect()), Err(Misbehaved::SpacesFlood));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_role_gets_neither_commits_nor_objects() {
    let [ada, mallory] = devices();
    let ledger = ada.found().space.id();
    let ids = ada.write(ledger, "secret", &[bytes(1, 100)]).unwrap();
    let mut script = script(&ada, &mallory);
    until("it has a room", || ada.between.room(ledger).is_some()).await;
    let mut stream = script.open(&ada, StreamHeader::Space { ledger });
    let (have, _) = genesis(&ada, ledger);
    let Message::Have(tips) = have else { panic!("no tips") };
    let want = logic::ledger::sync::Want { goal: tips[0], here: Vec::new() };
    say(&mut stream, &Message::Want(vec![want])).await;
    assert_eq!(hears(&mut stream).await, Some(Message::Commits { commits: Vec::new(), more: false }));
    let mut stream = script.open(&ada, StreamHeader::Objects { ledger });
    ask(&mut stream, &Objects::Get(ids)).await;
    assert!(stream.recv.read_u8().await.is_err(), "nothing, not even that it is here");
    let noted = || ada.log().iter().filter(|event| *event == "space.refused").count();
    until("noted", || noted() > 0).await;
    assert_eq!(noted(), 1, "once, whatever it asks for");
    assert!(script.told.try_recv().is_err(), "it is not even told that there is a space");
}

/// A victim that shares a space with somebody whose device the test plays from then on.
async fn betrayed(ada: &Dev, mallory: &Dev) -> (CommitId, Script) {
    let (ledger, wire) = shared(ada, mallory).await;
    wire.cut();
    let script = script(ada, mallory);
    (ledger, script)
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_not_kept_and_their_sender_is_not_asked_again() {
    let [ada, mallory] = devices();
    let (ledger, mut script) = betrayed(&ada, &mallory).await;
    let ids = mallory.write(ledger, "file", &[bytes(1, 1000), bytes(2, 1000)]).unwrap();
    let _session = script.open(&ada, StreamHeader::Space { ledger });
    let between = ada.between.clone();
    let waiting = {
        let ids = ids.clone();
        tokio::spawn(async move { between.fetch_soon(ledger, &ids).await })
    };
    let mut asked = loop {
        let (header, stream) = script.opened().await;
        if matches!(header, StreamHeader::Objects { .. }) {
            break stream;
        }
    };
    let Ok(Some(Objects::Get(wanted))) = read_frame::<Objects, _>(&mut asked.recv, OBJECTS_FRAME).await else {
        panic!("no question")
    };
    for _ in wanted {
        asked.send.write_all(&1000_u32.to_be_bytes()).await.unwrap();
        asked.send.write_all(&bytes(9, 1000)).await.unwrap();
    }
    asked.send.flush().await.unwrap();
    assert!(waiting.await.unwrap().is_err());
    assert!(!ada.has(&ids[0]) && !ada.has(&ids[1]));
    assert!(ada.log().iter().any(|event| event == "peer.misbehaved"));
    let again = ada.between.fetch_soon(ledger, &ids).await;
    assert!(again.is_err());
    while let Ok((header, _)) = script.streams.try_recv() {
        assert!(!matches!(header, StreamHeader::Objects { .. }), "it was asked again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_that_it_holds_less_than_before_is_proven_to_have_rolled_back() {
    let [ada, mallory] = devices();
    let (ledger, script) = betrayed(&ada, &mallory).await;
    mallory.write(ledger, "x", &[]).unwrap();
    let frontier = mallory.kept(ledger).space.look(|ledger, _| Ok(ledger.frontier())).unwrap();
    let sign = |counter, frontier| {
        let head = HeadStatement::make(&mallory.keys.device, ledger, counter, clock::now(), frontier);
        Message::Head(ByteBuf::from(head.as_bytes()))
    };
    let mut stream = script.open(&ada, StreamHeader::Space { ledger });
    say(&mut stream, &sign(100, frontier)).await;
    say(&mut stream, &sign(101, Default::default())).await;
    until("noted", || ada.log().iter().any(|event| event == "space.rollback")).await;
    let kept = super::super::evidence::all(&ada.kept(ledger).space).unwrap();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].1.kind.proves(mallory.id()) && !kept[0].1.kind.proves(ada.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_nobody_asked_for_and_garbage_end_the_link() {
    let [ada, mallory] = devices();
    let (ledger, wire) = shared(&ada, &mallory).await;
    wire.cut();
    let unasked = genesis(&ada, ledger).1.frame().unwrap().as_bytes().to_vec();
    let garbage = [&4_u32.to_be_bytes()[..], &[255; 4]].concat();
    let long = (LEDGER_FRAME.bytes() as u32 + 1).to_be_bytes().to_vec();
    let cases =
        [(unasked, Misbehaved::FrameOutOfTurn), (garbage, Misbehaved::FrameGarbled), (long, Misbehaved::FrameTooLong)];
    for (sent, offence) in cases {
        let script = script(&ada, &mallory);
        let mut stream = script.open(&ada, StreamHeader::Space { ledger });
        stream.send.write_all(&sent).await.unwrap();
        stream.send.flush().await.unwrap();
        assert_eq!(script.offence().await, offence);
        ada.between.link_down(&script.peer);
    }
    assert_eq!(ada.names(ledger).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_in_the_middle_is_no_offence_and_comes_later() {
    let [ada, mallory] = devices();
    let (ledger, script) = betrayed(&ada, &mallory).await;
    let mut stream = script.open(&ada, StreamHeader::Space { ledger });
    let frame = genesis(&ada, ledger).0.frame().unwrap();
    stream.send.write_all(&frame.as_bytes()[..frame.as_bytes().len() / 2]).await.unwrap();
    drop(stream);
    ada.between.link_down(&script.peer);
    assert!(script.pipe.offences().is_empty());
    mallory.write(ledger, "later", &[]).unwrap();
    let _wire = link(&ada, &mallory);
    until("it came", || ada.names(ledger) == ["later"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_kept_as_evidence_that_anybody_can_check() {
    let [ada, mallory] = devices();
    let (ledger, wire) = shared(&ada, &mallory).await;
    until("nothing is on its way", || {
        let held = |dev: &Dev| dev.kept(ledger).space.look(|ledger, _| Ok(ledger.frontier())).unwrap();
        held(&ada) == held(&mallory)
    })
    .await;
    wire.cut();
    // A second device of the same key: the home as it was.
    let space = &mallory.kept(ledger).space;
    let cap = space.look(|ledger, _| Ok(ledger.role_of(mallory.id(), RealmId::ROOT))).unwrap();
    assert_eq!(cap, Some(SpaceRole::Editor));
    let twin = space
        .look(|ledger, store| {
            let mut twin = ledger.clone();
            let judgement = ledger.judgement();
            let draft = logic::ledger::Draft {
                kind: CommitKind::Data,
                realm: RealmId::ROOT,
                cap: judgement.cap_for(mallory.id(), RealmId::ROOT, SpaceRole::Editor).unwrap(),
                epoch: judgement.writers_epoch(RealmId::ROOT).unwrap().id,
                time: clock::now(),
                sure: true,
            };
            let header = twin.next_header(mallory.id(), &draft).unwrap();
            let commit = logic::ledger::Commit::make(&mallory.keys.device, header, vec![7; 300]).unwrap();
            twin.handle(commit.clone(), None, clock::now(), store).unwrap();
            Ok(commit)
        })
        .unwrap();
    mallory.write(ledger, "x", &[]).unwrap();
    let wire = link(&ada, &mallory);
    until("one branch", || ada.names(ledger) == ["x"]).await;
    wire.cut();
    let mut script = script(&ada, &mallory);
    let mut stream = script.open(&ada, StreamHeader::Space { ledger });
    let seen = logic::ledger::Seen { device: mallory.id(), seq: twin.header().seq, id: twin.id() };
    say(&mut stream, &Message::Have(vec![seen])).await;
    loop {
        if let Some(Message::Want(_)) = hears(&mut stream).await {
            break;
        }
    }
    say(&mut stream, &Message::Commits { commits: vec![ByteBuf::from(twin.to_bytes())], more: false }).await;
    until("noted", || ada.log().iter().any(|event| event == "space.forked")).await;
    let kept = super::super::evidence::all(&ada.kept(ledger).space).unwrap();
    assert!(kept.iter().any(|(_, evidence)| evidence.kind.name() == "fork" && evidence.kind.proves(mallory.id())));
    assert!(script.streams.try_recv().is_err() || script.pipe.offences().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_tells_of_a_space_and_then_says_nothing_holds_up_nobody() {
    let [ada, mallory] = devices();
    let ledger = mallory.found().space.id();
    let mut script = script(&ada, &mallory);
    ada.between.told(&script.peer, vec![ledger]).unwrap();
    let (_, mut stream) = script.opened().await;
    // Nothing comes from there any more; the stream ends by itself.
    assert!(stream.recv.read_u8().await.is_err());
    assert!(script.pipe.offences().is_empty() && ada.spaces.all().is_empty());
    // It is tried again, later.
    let (header, _stream) = script.opened().await;
    assert_eq!(header, StreamHeader::Space { ledger });
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_without_end_of_what_is_there_are_an_offence() {
    let [ada, storage] = devices();
    let ledger = ada.found().space.id();
    ada.grant(ledger, &storage, SpaceRole::Storage);
    let wire = link(&ada, &storage);
    let ids = ada.write(ledger, "file", &[bytes(1, 100)]).unwrap();
    until("stored", || storage.spaces.get(ledger).is_some() && storage.has(&ids[0])).await;
    wire.cut();
    let script = script(&storage, &ada);
    let mut stream = script.open(&storage, StreamHeader::Objects { ledger });
    let offers = async {
        loop {
            let frame = Objects::Offer(ids.clone()).frame().unwrap();
            if stream.send.write_all(frame.as_bytes()).await.is_err() || stream.send.flush().await.is_err() {
                return;
            }
            for _ in 0..2 {
                match read_frame::<Objects, _>(&mut stream.recv, OBJECTS_FRAME).await {
                    Ok(Some(_)) => {}
                    _ => return,
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, offers).await.expect("it takes everything");
    assert_eq!(script.offence().await, Misbehaved::ObjectsFlood);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_cannot_fill_a_storage_device() {
    let [ada, storage, reader] = devices();
    let ledger = ada.found().space.id();
    ada.grant(ledger, &storage, SpaceRole::Storage);
    ada.grant(ledger, &reader, SpaceRole::Reader);
    let _wire = link(&ada, &storage);
    until("storage has entered", || storage.role(ledger) == Some(SpaceRole::Storage)).await;
    let script = script(&storage, &reader);
    let mut stream = script.open(&storage, StreamHeader::Objects { ledger });
    ask(&mut stream, &Objects::Offer(vec![ObjectId::of(b"anything")])).await;
    assert!(stream.recv.read_u8().await.is_err());
}
