package analysis
import ("testing";"time";"sync";"slices";"math/rand/v2")
func sweep(w world, runs int, stop bool) (fail, pass []int64) {
	res := make([]result, runs)
	var wg sync.WaitGroup
	for g := range 2 { wg.Go(func(){ for i:=g;i<runs;i+=2 { res[i]=w.run(uint64(i+1),stop) } }) }
	wg.Wait()
	for _, r := range res { fail=append(fail,r.failed); pass=append(pass,r.passed) }
	return
}
func count(xs []int64) (n int) { for _,x:=range xs { if x>0 {n++} }; return }
func p95(xs []int64) int64 { xs=slices.Clone(xs); for i,x:=range xs {if x==0{xs[i]=1<<40}}; slices.Sort(xs); return xs[len(xs)*95/100] }

func TestExplore(t *testing.T) {
	base := world{hosts:5, stable:4, perSecond:5, share:.05, length: time.Hour}
	det := func(name string, w world, runs int, stop bool) {
		b:=time.Now()
		f,p := sweep(w, runs, stop)
		t.Logf("%-40s fail %d/%d med %d p95 %d | pass %d med %d p95 %d  %v", name, count(f), runs, median(f), p95(f), count(p), median(p), p95(p), time.Since(b))
	}
	_ = rand.New
	for _, mi := range []int{NoIncrease, 50} {
		w:=base; w.config=Config{MaxIncrease: mi}
		w.rate=fixed(.01,.01); det("AA 1%",w,500,false)
		w.rate=fixed(.001,.001); det("AA .1%",w,500,false)
		h:=w; h.rate=func(i int, c bool, at time.Duration) float64 { return []float64{.01,.02,.05,.1,.2}[i]}; det("AA hosts",h,300,false)
		h=w; h.shareAt=func(at time.Duration) float64 { return .05+.45*at.Hours()}; h.rate=func(i int, c bool, at time.Duration) float64 { return .5-.45*at.Hours()}
		h.share=.05; h.perSecond=2; det("AA simpson",h,300,false)
		h=w; h.rate=func(i int, c bool, at time.Duration) float64 { if int(at.Minutes())%10==3 {return .03}; return .001}; det("AA incidents",h,300,false)
		h=w; h.rate=fixed(.001,.001); h.mood=bursts(600*time.Second,5*time.Second,.5); det("AA MS",h,500,false)
		h.mood=bursts(1800*time.Second,30*time.Second,.2); det("AA ML",h,500,false)
		h.stable=1; h.mood=bursts(600*time.Second,5*time.Second,.5); det("AA MS 1 stable",h,500,false)
		h.hosts=1; det("AA MS 1 stable 1 host",h,500,false)
		h.stable=4; det("AA MS 1 host",h,500,false)
		h.hosts=2; det("AA MS 2 host",h,500,false)
		h=w; h.rate=fixed(.001,.001); h.hosts=3; h.perSecond=60; h.stable=1; h.share=.2; h.length=20*time.Minute; h.mood=bursts(600*time.Second,5*time.Second,.5); det("AA MS 3 hosts fast",h,200,false)
	}
	w := base
	w.config=Config{MaxIncrease:50}
	w.rate=fixed(.01,.015); det("edge 1->1.5",w,300,false)
	w.rate=fixed(.001,.006); det("edge .1->.6",w,300,false)
	w.rate=fixed(0,.005); det("edge 0->.5",w,300,false)
	w.share=.5; det("edge 0->.5 @50",w,300,false)
	w.rate=fixed(.03,.035);det("edge 3->3.5 @50",w,300,false)
	w.rate=fixed(.03,.03);det("3->3 @50",w,300,false)
	w.rate=fixed(.01,.01);det("1->1 @50",w,300,false)
	w.config=Config{MaxIncrease:100}
	w.rate=fixed(0,.01); det("edge 0->1 @50",w,300,false)
	w.hosts=3; w.perSecond=20; w.share=.1; det("edge 0->1 target",w,300,false)
	w.config.Baseline=Counts{10000,10}
	w.share=1
	w.rate=fixed(.001,.001); det("100% .1",w,300,false)
	w.rate=fixed(.001,.01); det("100% .1->1",w,300,false)
	w.rate=fixed(.001,.05); det("100% .1->5",w,300,false)
}
