// Sends the pairing code; a link that ends in #123456 fills it in (a fragment never leaves the browser).
const form = document.getElementById("pair");
const code = document.getElementById("code");
const trouble = document.getElementById("pair-error");

if (/^#\d{6}$/.test(location.hash)) code.value = location.hash.slice(1);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  trouble.textContent = "";
  try {
    const answer = await fetch("/pair", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code: code.value }),
    });
    if (answer.ok) return location.replace("/");
    trouble.textContent = (await answer.json()).error;
  } catch {
    trouble.textContent = "The speaker cannot be reached.";
  }
  code.select();
});
