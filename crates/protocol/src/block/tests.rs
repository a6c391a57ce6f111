//! Good blocks, and every kind of bad ones.

use proptest::prelude::*;

use super::*;

const STORED: u8 = BlockKind::Stored as u8;
const ZSTD: u8 = BlockKind::Zstd as u8;

fn blocks(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = BlockEncoder::new().unwrap();
    let mut out = Vec::new();
    for message in messages {
        encoder.encode(message, &mut out).unwrap();
    }
    out
}

fn decode(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Violation> {
    let mut plain = Vec::new();
    BlockDecoder::new()
        .unwrap()
        .decode(bytes, &mut plain)
        .map(|()| plain)
}

#[track_caller]
fn check(bytes: &[u8], expected: Violation) {
    // Not `assert_eq`: it would print megabytes.
    assert!(
        decode(bytes) == Err(expected),
        "this breaks no rule, or another"
    );
}

/// Returns a block with this header and payload, correctly padded.
fn block(kind: u8, plain: usize, payload: &[u8]) -> Vec<u8> {
    let mut block = header(kind, plain, payload.len()).to_vec();
    block.extend_from_slice(payload);
    block.resize(HEADER_LENGTH + payload.len() + padding(payload.len()), 0);
    block
}

/// Returns incompressible bytes, identical on every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}

#[test]
fn a_small_message_is_stored_in_one_unit() {
    let bytes = blocks(&[b"bell".to_vec()]);
    assert_eq!(bytes.len(), PADDING_UNIT);
    assert_eq!(bytes[0], STORED);
    assert_eq!(
        blocks(&[noise(PADDING_UNIT - HEADER_LENGTH)]).len(),
        PADDING_UNIT
    );
    assert_eq!(blocks(&[Vec::new()]), b"");
}

#[test]
fn a_repetition_megabytes_back_costs_next_to_nothing() {
    let pieces = |bytes: Vec<u8>| {
        bytes
            .chunks(1 << 20)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    let (screen, other) = (
        pieces(noise(3 << 20)),
        pieces(noise(12 << 20)[3 << 20..].to_vec()),
    );
    let once = blocks(&screen).len();
    let thrice = blocks(&[&screen[..], &other, &screen].concat());
    let alone = blocks(&[&screen[..], &other].concat()).len();
    assert!(once > 3 << 20);
    assert!(thrice.len() - alone < 64 << 10, "{}", thrice.len() - alone);
    assert_eq!(decode(&thrice).unwrap()[12..], screen);
}

#[test]
fn a_header_out_of_bounds_is_refused_before_its_payload_comes() {
    check(&header(2, 5, 5), Violation::BlockHeader);
    check(&header(STORED, 5, 6), Violation::BlockHeader);
    check(&header(STORED, 0, 0), Violation::BlockHeader);
    check(&header(ZSTD, 5, 0), Violation::BlockHeader);
    check(&header(ZSTD, 0, 5), Violation::BlockHeader);
    check(&header(ZSTD, MAX_PICTURE + 1, 100), Violation::BlockHeader);
    check(
        &header(STORED, MAX_PICTURE + 1, MAX_PICTURE + 1),
        Violation::BlockHeader,
    );
    check(
        &header(ZSTD, 1000, 1000 + 3 + PADDING_UNIT + 1),
        Violation::BlockHeader,
    );
    check(
        &[1, 255, 255, 255, 255, 255, 255, 255, 255],
        Violation::BlockHeader,
    );
}

#[test]
fn padding_is_zero() {
    let mut bytes = block(STORED, 3, b"abc");
    assert_eq!(decode(&bytes).unwrap(), [b"abc".to_vec()]);
    *bytes.last_mut().unwrap() = 1;
    check(&bytes, Violation::BlockPadding);
}

#[test]
fn a_block_holds_exactly_what_it_says() {
    let whole = blocks(&[vec![7; 5000]]);
    let payload = u32::from_be_bytes(whole[5..9].try_into().unwrap()) as usize;
    let payload = &whole[HEADER_LENGTH..HEADER_LENGTH + payload];
    assert_eq!(
        decode(&block(ZSTD, 5000, payload)).unwrap(),
        [vec![7; 5000]]
    );
    check(&block(ZSTD, 4999, payload), Violation::BlockContent);
    check(&block(ZSTD, 5001, payload), Violation::BlockContent);
    check(&block(ZSTD, 1, payload), Violation::BlockContent);
    check(
        &block(ZSTD, 5000, &payload[..payload.len() - 1]),
        Violation::BlockContent,
    );
    check(
        &block(ZSTD, 5000, &[payload, &[0]].concat()),
        Violation::BlockContent,
    );
    check(
        &block(ZSTD, 5000, &[payload, payload].concat()),
        Violation::BlockContent,
    );
    check(
        &block(ZSTD, 5000, b"not zstd at all"),
        Violation::BlockContent,
    );
}

#[test]
fn a_frame_that_ends_is_refused() {
    let ended = zstd::encode_all(&[7; 5000][..], 3).unwrap();
    check(&block(ZSTD, 5000, &ended), Violation::BlockContent);
}

#[test]
fn a_bomb_stops_at_the_length_it_declared() {
    let bomb = zstd::encode_all(&vec![0; 200 << 20][..], 3).unwrap();
    assert!(bomb.len() < 20 << 10);
    check(&block(ZSTD, 20 << 10, &bomb), Violation::BlockContent);
    check(&block(ZSTD, MAX_PICTURE, &bomb), Violation::BlockContent);
}

#[test]
fn a_larger_window_than_ours_is_refused() {
    let mut wide = raw::Encoder::new(3).unwrap();
    wide.set_parameter(CParameter::WindowLog(WINDOW_LOG + 1))
        .unwrap();
    let mut payload = Vec::with_capacity(OUTPUT_STEP);
    let plain = vec![1; 5000];
    let mut output = OutBuffer::around(&mut payload);
    wide.run(&mut InBuffer::around(&plain), &mut output)
        .unwrap();
    assert_eq!(wide.flush(&mut output).unwrap(), 0);
    check(&block(ZSTD, plain.len(), &payload), Violation::BlockContent);
}

#[test]
fn nothing_follows_a_violation() {
    let mut decoder = BlockDecoder::new().unwrap();
    let mut plain = Vec::new();
    let bad = block(ZSTD, 5000, b"not zstd at all");
    assert_eq!(
        decoder.decode(&bad, &mut plain),
        Err(Violation::BlockContent)
    );
    let good = block(STORED, 3, b"abc");
    assert_eq!(
        decoder.decode(&good, &mut plain),
        Err(Violation::BlockContent)
    );
    assert!(plain.is_empty());
}

#[test]
fn too_much_is_the_callers_fault_and_harms_nothing() {
    let mut encoder = BlockEncoder::new().unwrap();
    let mut out = Vec::new();
    let error = encoder
        .encode(&vec![0; MAX_PICTURE + 1], &mut out)
        .unwrap_err();
    assert_eq!(
        error,
        CodecError::TooLarge {
            length: MAX_PICTURE + 1,
            limit: MAX_PICTURE
        }
    );
    encoder.encode(&vec![0; MAX_PICTURE], &mut out).unwrap();
    assert_eq!(decode(&out).unwrap()[0].len(), MAX_PICTURE);
}

fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let runs = (any::<u8>(), 1usize..70_000).prop_map(|(byte, length)| vec![byte; length]);
    let random = prop::collection::vec(any::<u8>(), 1..3000);
    prop::collection::vec(prop_oneof![runs, random], 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn round_trip(messages in messages(), pieces in prop::collection::vec(1usize..5000, 1..20)) {
        let bytes = blocks(&messages);
        prop_assert_eq!(bytes.len() % PADDING_UNIT, 0);
        let mut decoder = BlockDecoder::new().unwrap();
        let mut plain = Vec::new();
        let mut rest = &bytes[..];
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            decoder.decode(now, &mut plain).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(decoder.is_empty());
        prop_assert_eq!(plain, messages);
    }

    #[test]
    fn a_flipped_bit_never_panics(
        messages in messages(),
        at: prop::sample::Index,
        bit in 0u8..8,
    ) {
        let mut bytes = blocks(&messages);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(plain) = decode(&bytes) {
                prop_assert!(plain.iter().all(|message| message.len() <= MAX_PICTURE));
            }
        }
    }

    #[test]
    fn any_payload_is_fine(plain in 1usize..10_000, payload: Vec<u8>) {
        let _ = decode(&block(ZSTD, plain, &payload));
        let _ = decode(&payload);
    }
}
