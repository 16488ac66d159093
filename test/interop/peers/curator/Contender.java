import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.UriSpec;

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
                DistributedQueue<String> queue = QueueBuilder.builder(client, null, new Text(), words[2]).buildQueue();
                queue.start();
                queue.put(words[3]);
                queue.flushPuts(10, TimeUnit.SECONDS);
                queue.close();
                return true;
            }
            case "take": {
                LinkedBlockingQueue<String> taken = new LinkedBlockingQueue<>();
                DistributedQueue<String> queue = QueueBuilder.builder(client, new Consumer(taken), new Text(), words[2])
                    .lockPath(words[4]).buildQueue();
                queue.start();
                String item = taken.poll(millis(words[3]), TimeUnit.MILLISECONDS);
                queue.close();
                return item;
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
