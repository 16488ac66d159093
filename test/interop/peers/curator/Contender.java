import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedIdQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBase;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.UriSpec;
import org.apache.zookeeper.CreateMode;

/**
 * A process that uses Curator's recipes on demand: a line in is a command, a line out its answer. The first word names who
 * acts (a lock in Curator belongs to a thread), the second what it does.
 */
public class Contender {
    private static CuratorFramework client;
    private static final Map<String, ExecutorService> threads = new HashMap<>();
    private static final Map<String, Callable<Object>> undo = new HashMap<>();
    private static final Map<String, LeaderLatch> latches = new HashMap<>();
    private static final Map<String, DistributedDoubleBarrier> barriers = new HashMap<>();
    private static final Map<String, ServiceDiscovery<String>> discoveries = new HashMap<>();
    private static final Map<String, GroupMember> members = new HashMap<>();

    public static void main(String[] args) throws Exception {
        client = CuratorFrameworkFactory.newClient(args[0], 10_000, 10_000, new ExponentialBackoffRetry(50, 5));
        client.start();
        client.blockUntilConnected();
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            ExecutorService thread = threads.computeIfAbsent(words[0], name -> Executors.newSingleThreadExecutor());
            thread.submit(() -> answer(words));
        }
        System.exit(0);
    }

    private static void answer(String[] words) {
        String text;
        try {
            text = String.valueOf(act(words[0], words[1], words));
        } catch (Throwable error) {
            text = "failed " + error;
        }
        synchronized (System.out) {
            System.out.println(words[0] + " " + text.replace('\n', ' '));
        }
    }

    private static Object act(String who, String verb, String[] words) throws Exception {
        switch (verb) {
            case "lock": {
                InterProcessMutex mutex = new InterProcessMutex(client, words[2]);
                undo.put(who, () -> { mutex.release(); return true; });
                return mutex.acquire(millis(words[3]), TimeUnit.MILLISECONDS);
            }
            case "revocable": {
                InterProcessMutex mutex = new InterProcessMutex(client, words[2]);
                LinkedBlockingQueue<Boolean> asked = new LinkedBlockingQueue<>();
                mutex.makeRevocable(lock -> asked.add(true));
                mutex.acquire();
                undo.put(who, () -> { mutex.release(); return true; });
                synchronized (System.out) {
                    System.out.println(who + " held");
                }
                return asked.poll(millis(words[3]), TimeUnit.MILLISECONDS);
            }
            case "revoke":
                for (String path : new InterProcessMutex(client, words[2]).getParticipantNodes()) {
                    Revoker.attemptRevoke(client, path);
                    break;
                }
                return true;
            case "read":
            case "write": {
                InterProcessReadWriteLock lock = new InterProcessReadWriteLock(client, words[2]);
                InterProcessMutex side = verb.equals("read") ? lock.readLock() : lock.writeLock();
                undo.put(who, () -> { side.release(); return true; });
                return side.acquire(millis(words[3]), TimeUnit.MILLISECONDS);
            }
            case "lease": {
                InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, words[2], Integer.parseInt(words[4]));
                Lease lease = semaphore.acquire(millis(words[3]), TimeUnit.MILLISECONDS);
                undo.put(who, () -> { lease.close(); return true; });
                return lease != null;
            }
            case "release":
                return undo.remove(who).call();
            case "latch": {
                LeaderLatch latch = new LeaderLatch(client, words[2], who);
                latches.put(who, latch);
                latch.start();
                return true;
            }
            case "leads":
                return latches.get(who).await(millis(words[2]), TimeUnit.MILLISECONDS);
            case "leader":
                return latches.get(who).getLeader().getId();
            case "resign":
                latches.remove(who).close();
                return true;
            case "count": {
                SharedCount count = new SharedCount(client, words[2], 0);
                count.start();
                int before = count.getCount();
                if (words.length > 3) {
                    count.setCount(Integer.parseInt(words[3]));
                }
                count.close();
                return before;
            }
            case "add":
                return new DistributedAtomicLong(client, words[2], new ExponentialBackoffRetry(10, 10))
                    .add(Long.parseLong(words[3])).postValue();
            case "publish": {
                ServiceInstance<String> instance = ServiceInstance.<String>builder()
                    .name(words[3]).id(words[4]).address(words[5]).port(Integer.parseInt(words[6])).payload(words[7])
                    .uriSpec(new UriSpec("{scheme}://{address}:{port}")).build();
                discovery(words[2]).registerService(instance);
                undo.put(who, () -> { discovery(words[2]).unregisterService(instance); return true; });
                return true;
            }
            case "instances": {
                List<String> found = new ArrayList<>();
                for (ServiceInstance<String> instance : discovery(words[2]).queryForInstances(words[3])) {
                    found.add(instance.getId() + "=" + instance.buildUriSpec() + "," + instance.getPayload());
                }
                found.sort(null);
                return String.join(" ", found);
            }
            case "put": {
                String kind = words.length > 4 ? words[4] : "plain";
                QueueBase<String> queue = queue(kind, QueueBuilder.builder(client, null, new Text(), words[2]));
                queue.start();
                if (queue instanceof DistributedPriorityQueue) {
                    ((DistributedPriorityQueue<String>) queue).put(words[3], Integer.parseInt(words[5]));
                } else if (queue instanceof DistributedIdQueue) {
                    ((DistributedIdQueue<String>) queue).put(words[3], words[5]);
                } else if (queue instanceof DistributedDelayQueue) {
                    ((DistributedDelayQueue<String>) queue).put(words[3], System.currentTimeMillis() + millis(words[5]));
                } else {
                    ((DistributedQueue<String>) queue).put(words[3]);
                }
                queue.flushPuts(10, TimeUnit.SECONDS);
                queue.close();
                return true;
            }
            case "take": {
                LinkedBlockingQueue<String> taken = new LinkedBlockingQueue<>();
                QueueBuilder<String> builder = QueueBuilder.builder(client, new Consumer(taken), new Text(), words[2]);
                QueueBase<String> queue = queue(words.length > 5 ? words[5] : "plain", builder.lockPath(words[4]));
                queue.start();
                String item = taken.poll(millis(words[3]), TimeUnit.MILLISECONDS);
                queue.close();
                return item;
            }
            case "remove": {
                QueueBuilder<String> builder = QueueBuilder.builder(client, null, new Text(), words[2]);
                DistributedIdQueue<String> queue = builder.lockPath(words[4]).buildIdQueue();
                queue.start();
                int removed = queue.remove(words[3]);
                queue.close();
                return removed;
            }
            case "offer":
                return new SimpleDistributedQueue(client, words[2]).offer(words[3].getBytes(StandardCharsets.UTF_8));
            case "poll": {
                byte[] item = new SimpleDistributedQueue(client, words[2]).poll(millis(words[3]), TimeUnit.MILLISECONDS);
                return item == null ? null : new String(item, StandardCharsets.UTF_8);
            }
            case "stand":
                new DistributedBarrier(client, words[2]).setBarrier();
                return true;
            case "lift":
                new DistributedBarrier(client, words[2]).removeBarrier();
                return true;
            case "wait":
                return new DistributedBarrier(client, words[2]).waitOnBarrier(millis(words[3]), TimeUnit.MILLISECONDS);
            case "both": {
                InterProcessMultiLock locks = new InterProcessMultiLock(client, List.of(words[2], words[3]));
                undo.put(who, () -> { locks.release(); return true; });
                return locks.acquire(millis(words[4]), TimeUnit.MILLISECONDS);
            }
            case "addint":
                return new DistributedAtomicInteger(client, words[2], new ExponentialBackoffRetry(10, 10))
                    .add(Integer.parseInt(words[3])).postValue();
            case "value": {
                SharedValue value = new SharedValue(client, words[2], "seed".getBytes(StandardCharsets.UTF_8));
                value.start();
                String before = new String(value.getValue(), StandardCharsets.UTF_8);
                if (words.length > 3) {
                    value.setValue(words[3].getBytes(StandardCharsets.UTF_8));
                }
                value.close();
                return before;
            }
            case "keep": {
                byte[] data = who.getBytes(StandardCharsets.UTF_8);
                PersistentNode node = new PersistentNode(client, CreateMode.EPHEMERAL, false, words[2], data);
                node.start();
                undo.put(who, () -> { node.close(); return true; });
                return node.waitForInitialCreate(millis(words[3]), TimeUnit.MILLISECONDS);
            }
            case "select": {
                CountDownLatch selected = new CountDownLatch(1);
                CountDownLatch released = new CountDownLatch(1);
                LeaderSelector selector = new LeaderSelector(client, words[2], new LeaderSelectorListenerAdapter() {
                    public void takeLeadership(CuratorFramework client) throws Exception {
                        selected.countDown();
                        released.await();
                    }
                });
                selector.setId(who);
                selector.start();
                undo.put(who, () -> { released.countDown(); selector.close(); return true; });
                return selected.await(millis(words[3]), TimeUnit.MILLISECONDS);
            }
            case "enter": {
                DistributedDoubleBarrier barrier =
                    new DistributedDoubleBarrier(client, words[2], Integer.parseInt(words[4]));
                barriers.put(who, barrier);
                return barrier.enter(millis(words[3]), TimeUnit.MILLISECONDS);
            }
            case "leave":
                return barriers.remove(who).leave(millis(words[2]), TimeUnit.MILLISECONDS);
            case "join": {
                GroupMember member = new GroupMember(client, words[2], who, who.getBytes(StandardCharsets.UTF_8));
                member.start();
                members.put(who, member);
                return true;
            }
            case "members": {
                List<String> found = new ArrayList<>(members.get(who).getCurrentMembers().keySet());
                found.sort(null);
                return String.join(" ", found);
            }
            case "part":
                members.remove(who).close();
                return true;
            default:
                return "failed: no such command";
        }
    }

    private static QueueBase<String> queue(String kind, QueueBuilder<String> builder) {
        switch (kind) {
            case "priority":
                return builder.buildPriorityQueue(16);
            case "id":
                return builder.buildIdQueue();
            case "delay":
                return builder.buildDelayQueue();
            default:
                return builder.buildQueue();
        }
    }

    private static ServiceDiscovery<String> discovery(String path) throws Exception {
        ServiceDiscovery<String> known = discoveries.get(path);
        if (known == null) {
            known = ServiceDiscoveryBuilder.builder(String.class).client(client).basePath(path).build();
            known.start();
            discoveries.put(path, known);
        }
        return known;
    }

    private static long millis(String text) {
        return Long.parseLong(text);
    }

    private static class Text implements QueueSerializer<String> {
        public byte[] serialize(String item) {
            return item.getBytes(StandardCharsets.UTF_8);
        }

        public String deserialize(byte[] bytes) {
            return new String(bytes, StandardCharsets.UTF_8);
        }
    }

    private static class Consumer implements QueueConsumer<String> {
        private final LinkedBlockingQueue<String> taken;

        Consumer(LinkedBlockingQueue<String> taken) {
            this.taken = taken;
        }

        public void consumeMessage(String message) {
            taken.add(message);
        }

        public void stateChanged(CuratorFramework client, ConnectionState state) {
        }
    }
}
