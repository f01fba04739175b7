// A log that only grows, with the messages of RFC 6962 section 4 and entries that are JSON; its Merkle tree is that of
// golang.org/x/mod/sumdb/tlog. What it is told at /test/<way> it does from then on: a log that lies in that way.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

type tree struct {
	sync.Mutex
	key    *ecdsa.PrivateKey
	leaves [][]byte
	hashes []tlog.Hash
	way    string
	kept   map[string]any
}

func main() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	log := &tree{key: key, kept: map[string]any{}}
	http.HandleFunc("/ct/v1/add-json", log.answer(log.add))
	http.HandleFunc("/ct/v1/get-sth", log.answer(log.head))
	http.HandleFunc("/ct/v1/get-sth-consistency", log.answer(log.consistency))
	http.HandleFunc("/ct/v1/get-proof-by-hash", log.answer(log.proof))
	http.HandleFunc("/ct/v1/get-entries", log.answer(log.entries))
	http.HandleFunc("/test/", log.answer(log.behave))
	first := map[string]string{
		"url": "http://" + listener.Addr().String(),
		"key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	}
	check(json.NewEncoder(os.Stdout).Encode(first))
	check(http.Serve(listener, nil))
}

func (t *tree) answer(handle func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t.Lock()
		defer t.Unlock()
		body, err := handle(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("content-type", "application/json")
		json.NewEncoder(w).Encode(body)
	}
}

// "back <n>": the tree ends after n entries, for good. "forget <n>": entry n becomes another one, and the tree with it.
func (t *tree) behave(r *http.Request) (any, error) {
	t.way = r.URL.Path[len("/test/"):]
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	switch t.way {
	case "back":
		t.rebuild(t.leaves[:n])
	case "rewrite":
		leaves := append([][]byte{}, t.leaves...)
		leaves[n] = []byte("another entry")
		t.rebuild(leaves)
	case "keep-head":
		head, err := t.head(r)
		t.kept["head"] = head
		return map[string]string{}, err
	}
	return map[string]string{}, nil
}

func (t *tree) rebuild(leaves [][]byte) {
	t.leaves, t.hashes = nil, nil
	for _, leaf := range leaves {
		t.append(leaf)
	}
}

func (t *tree) append(leaf []byte) {
	hashes, err := tlog.StoredHashes(int64(len(t.leaves)), leaf, t)
	check(err)
	t.hashes = append(t.hashes, hashes...)
	t.leaves = append(t.leaves, leaf)
}

// ReadHashes makes a tree its own store (tlog.HashReader).
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = t.hashes[index]
	}
	return out, nil
}

func (t *tree) add(r *http.Request) (any, error) {
	var said struct{ Data json.RawMessage }
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, err
	}
	now := uint64(time.Now().UnixMilli())
	entry := binary.BigEndian.AppendUint64(nil, now)
	entry = binary.BigEndian.AppendUint16(entry, 0x8000)
	entry = append(entry, byte(len(said.Data)>>16), byte(len(said.Data)>>8), byte(len(said.Data)))
	entry = append(append(entry, said.Data...), 0, 0)
	signed := append([]byte{0, 0}, entry...)
	if t.way != "drop" {
		t.append(append([]byte{0, 0}, entry...))
	}
	signature := t.sign(signed)
	if t.way == "wrong-promise" {
		signature = t.sign([]byte("something else"))
	}
	return map[string]any{
		"sct_version": 0, "id": "", "timestamp": now, "extensions": "", "signature": signature,
	}, nil
}

func (t *tree) head(*http.Request) (any, error) {
	if t.way == "old-head" {
		return t.kept["head"], nil
	}
	size := int64(len(t.leaves))
	root := tlog.Hash(sha256.Sum256(nil))
	if size > 0 {
		var err error
		if root, err = tlog.TreeHash(size, t); err != nil {
			return nil, err
		}
	}
	now := uint64(time.Now().UnixMilli())
	if t.way == "stale" {
		now -= 2 * 86_400_000
	}
	signed := binary.BigEndian.AppendUint64([]byte{0, 1}, now)
	signed = binary.BigEndian.AppendUint64(signed, uint64(size))
	signed = append(signed, root[:]...)
	signature := t.sign(signed)
	if t.way == "unsigned" {
		signature = t.sign(append(signed, 0))
	}
	return map[string]any{
		"tree_size": size, "timestamp": now, "sha256_root_hash": root[:], "tree_head_signature": signature,
	}, nil
}

func (t *tree) consistency(r *http.Request) (any, error) {
	first, second := number(r, "first"), number(r, "second")
	proof, err := tlog.ProveTree(second, first, t)
	return map[string]any{"consistency": bytesOf([]tlog.Hash(proof))}, err
}

func (t *tree) proof(r *http.Request) (any, error) {
	hash, err := base64.StdEncoding.DecodeString(r.URL.Query().Get("hash"))
	if err != nil {
		return nil, err
	}
	size := number(r, "tree_size")
	for at, leaf := range t.leaves {
		if found := tlog.RecordHash(leaf); string(found[:]) == string(hash) && int64(at) < size {
			proof, err := tlog.ProveRecord(size, int64(at), t)
			if t.way == "wrong-proof" {
				at++
			}
			return map[string]any{"leaf_index": at, "audit_path": bytesOf([]tlog.Hash(proof))}, err
		}
	}
	return nil, fmt.Errorf("no such entry")
}

func (t *tree) entries(r *http.Request) (any, error) {
	// Fewer than were asked for, as section 4.6 allows.
	start, end := number(r, "start"), number(r, "end")
	if end > start+2 {
		end = start + 2
	}
	entries := []map[string]any{}
	for at := start; at <= end && at < int64(len(t.leaves)); at++ {
		leaf := t.leaves[at]
		if t.way == "hide" && at == number(r, "start") {
			leaf = []byte("nothing to see")
		}
		entries = append(entries, map[string]any{"leaf_input": leaf, "extra_data": ""})
	}
	return map[string]any{"entries": entries}, nil
}

// RFC 5246 section 4.7: SHA-256, ECDSA, length, signature.
func (t *tree) sign(signed []byte) []byte {
	hash := sha256.Sum256(signed)
	signature, err := ecdsa.SignASN1(rand.Reader, t.key, hash[:])
	check(err)
	return append([]byte{4, 3, byte(len(signature) >> 8), byte(len(signature))}, signature...)
}

func bytesOf(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

func number(r *http.Request, name string) int64 {
	value, _ := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
