package api

// SnapshotPart is a piece of a backup of the replicated state. A first
// get.snapshot makes a backup and answers with its first piece; the others are
// get.snapshot.<ID>-<offset>, until Offset and Data reach Size. A leader
// remembers its newest backup only: a refusal of a later piece as stale means
// to begin again.
type SnapshotPart struct {
	ID     string `json:"id"`     // of the backup, a part of a subject
	Index  uint64 `json:"index"`  // of the last entry in it
	Size   int    `json:"size"`   // bytes in all
	SHA256 string `json:"sha256"` // of all of them, in hexadecimal digits
	Offset int    `json:"offset"` // of Data
	Data   []byte `json:"data"`
}
